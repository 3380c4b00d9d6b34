"""Radiology reports: findings and report graphs."""
