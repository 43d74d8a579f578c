"""The recipe check: what a recipe does that it may not seem to do, before a second is spent on it.

Warnings, never refusals. Reads the recipe alone; what really ran is evidence.py's business.
Must not know any ML framework or the app.
"""

from __future__ import annotations

from trainer.recipe import check_knobs, check_rates
from trainer.recipe.recipe import Recipe
from trainer.recipe.warning import RecipeWarning


def check(recipe: Recipe, train_images: int | None) -> list[RecipeWarning]:
    """All warnings about a recipe, the schedule's first. `train_images` None: how long a run is, is not known."""
    found: list[RecipeWarning] = []
    if train_images:
        found += check_rates.warnings(recipe, train_images)
    return found + check_knobs.warnings(recipe)
