"""The process that owns one device: claims runs, starts trainers, reports."""
