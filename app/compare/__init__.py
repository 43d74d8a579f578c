"""Runs and groups side by side."""
