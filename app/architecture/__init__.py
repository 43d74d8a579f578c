"""The model of a recipe, drawn."""
