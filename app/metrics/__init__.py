"""Numbers made of epochs: pure functions."""
