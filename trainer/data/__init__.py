"""Data sets: listing, downloading and reading them."""
