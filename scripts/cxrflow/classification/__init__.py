"""Classifiers of radiographs, long-tailed or not: the network, its training from labels, its predictions."""
