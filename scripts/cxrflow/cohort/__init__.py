"""Cohorts: adapters, the sections of reports, simulation, splits and the image store."""
