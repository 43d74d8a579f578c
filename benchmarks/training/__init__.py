"""What the training costs."""
