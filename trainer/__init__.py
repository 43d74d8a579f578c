"""The training: recipe in, events out. Never imports app/."""
