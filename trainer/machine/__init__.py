"""The machine: devices, power, memory, processes."""
