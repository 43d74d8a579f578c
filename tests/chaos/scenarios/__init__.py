"""What can go wrong, one file each."""
