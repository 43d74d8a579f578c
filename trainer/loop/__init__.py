"""The training loop: epochs, checkpoints, resume."""
