"""The recipe: every setting that determines a training result."""

from __future__ import annotations

from trainer.recipe.recipe import DATASET_PATTERN, Dataset, Recipe, recipe_hash

__all__ = ["DATASET_PATTERN", "Dataset", "Recipe", "recipe_hash"]
