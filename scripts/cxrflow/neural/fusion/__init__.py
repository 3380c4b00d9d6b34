"""Fusion: which patch and which report node are joined."""
