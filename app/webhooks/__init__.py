"""Messages to other services when a run ends."""
