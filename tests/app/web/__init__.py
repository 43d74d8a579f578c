"""Tests of this wing."""
