"""What `python -m app` does besides serving: start everything, back up, restore."""
