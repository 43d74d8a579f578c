"""Fault injection: breaks a running Pitwall on purpose and checks what must hold: `make chaos`."""
