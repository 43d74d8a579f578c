"""Warnings about a recipe before launch, and about a run from its measured steps.

Adds to the trainer's own checks what only the records know.
"""

from __future__ import annotations

import math
from pathlib import Path

from sqlalchemy.orm import Session

from app.run_list import listing
from app.runs import schemas
from app.runs.recipes import count_training_images
from trainer.events import Evidence
from trainer.recipe import Recipe
from trainer.recipe.check import check_recipe
from trainer.recipe.evidence import check_evidence
from trainer.recipe.warning import RecipeWarning

MIN_ENDED_RUNS = 3  # fewer say little about what a preset can reach


def recipe_warnings(session: Session, recipe: Recipe, preset: str | None, datasets_dir: Path) -> list[RecipeWarning]:
    """Warnings before launch about settings that have unexpected effects."""
    return check_recipe(recipe, count_training_images(recipe, datasets_dir)) + _check_target(session, recipe, preset)


def latest_evidence(run: schemas.RunDetails) -> list[Evidence]:
    """Measurements of the latest attempt that trained the first epochs of the current curve."""
    measured = [one.evidence for one in run.attempts if one.number >= run.trail_from and one.evidence]
    return [Evidence.model_validate(one) for one in measured[-1]] if measured else []


def run_warnings(run: schemas.RunDetails) -> list[RecipeWarning]:
    """Where the measured steps contradict the recipe."""
    started = run.attempts[-1].started if run.attempts else None
    if not started:
        return []
    recipe = Recipe.model_validate(run.recipe)
    return check_evidence(recipe, latest_evidence(run), int(started["train_images"]), len(started["classes"]))


def _check_target(session: Session, recipe: Recipe, preset: str | None) -> list[RecipeWarning]:
    if preset is None:
        return []
    runs, best = listing.best_of_preset(session, preset, recipe.dataset.name)
    if runs < MIN_ENDED_RUNS or best is None or best >= recipe.target_accuracy:
        return []
    within = math.floor(best * 100) / 100
    text = (
        f"None of {runs} runs of this preset on {recipe.dataset.name} has reached {recipe.target_accuracy:.2%}; "
        f"the best reached {best:.2%}. Time to target will stay empty."
    )
    fix = {"target_accuracy": within} if within > 0 else {}
    mend = f"Aim for {within:.0%}" if fix else ""
    return [RecipeWarning("target_never_reached", "target_accuracy", text, mend, fix)]
