"""Numbers computed from epochs: accuracy, curves, progress, projections, statistics."""
