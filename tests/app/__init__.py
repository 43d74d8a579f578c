"""Tests of the web process and the records."""
