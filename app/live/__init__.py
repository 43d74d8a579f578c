"""State that is lost on restart: streams, leases, device load, tasks."""
