"""The training, from pure functions to whole child processes."""
