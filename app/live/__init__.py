"""What ends with the process: streams, leases, device load, tasks."""
