"""A new scan."""
