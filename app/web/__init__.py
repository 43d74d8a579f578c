"""Shared by all pages: dependencies, templates, assets, errors, the gate, login."""
