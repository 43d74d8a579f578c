"""Runs: launch, life cycle, API."""
