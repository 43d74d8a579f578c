"""Data sets: found, downloaded, read."""
