"""Adapters: one module per data set, the only places that know its files."""
