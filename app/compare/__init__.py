"""Comparison of runs and groups, on a page, as JSON and as a document."""
