"""Commands of `python -m app` other than serve: up, backup, restore."""
