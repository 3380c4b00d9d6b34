"""Simulated frontal radiographs for real reports, written in the layout of MIMIC-CXR-JPG."""
