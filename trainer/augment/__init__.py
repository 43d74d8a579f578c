"""Changing training pictures at random: what is drawn, and what is done with the draws."""
