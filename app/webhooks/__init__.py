"""Webhooks: messages to other services when a run ends."""
