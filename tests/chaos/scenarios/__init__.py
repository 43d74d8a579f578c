"""One file per kind of failure."""
