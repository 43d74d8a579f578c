"""Models as lists of layers, without an ML framework."""
