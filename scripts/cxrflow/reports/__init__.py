"""Radiology reports: sections, findings and report graphs."""
