"""The checks: what each part promises, tried on real files, processes and browsers."""
