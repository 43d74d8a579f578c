"""What `make bench` measures: printed as tables, never a pass or a fail."""
