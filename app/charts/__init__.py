"""Plotly figures as plain dicts, and the same drawn on the server as SVG."""
