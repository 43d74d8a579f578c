"""Plotly figures as dicts, and the same figures drawn on the server as SVG."""
