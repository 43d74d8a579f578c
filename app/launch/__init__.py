"""Launching runs: form, warnings, estimates, previews, sweeps."""
