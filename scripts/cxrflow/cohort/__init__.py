"""Cohorts: adapters, simulation, splits and the image store."""
