"""What Pitwall promises, as sentences that run."""
