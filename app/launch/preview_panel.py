"""The panel beside the form: recipe check, estimated cost, learning rate, augmented images.

For an invalid recipe, the panel shows the errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.charts import run_charts
from app.errors import InvalidRecipe
from app.images.augmentation import AugmentationPreview, AugmentationPreviews, no_steps_error
from app.launch import estimates, warnings
from app.launch.estimates import Estimate
from app.launch.form import RecipeForm
from app.runs.recipes import count_training_images
from app.web.deps import State
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import Float64, calendar, rates_at
from trainer.recipe.warning import RecipeWarning

TABLE_ROWS = 24  # epochs in the table beside the curve
SAMPLED_STEPS = 20_000  # evenly spaced, in longer runs: for the peak and the steepest change
FALLBACK_DATASET = "digits"  # while the chosen data set is not on this machine


@dataclass(frozen=True)
class Curve:
    """The schedule of a whole run as a figure and as numbers. Rates are per step."""

    figure: dict[str, Any]
    steps: int
    per_epoch: int
    peak: float
    peak_epoch: float
    last: float
    rise: float  # steepest, per epoch; 0 if it never rises
    fall: float
    lasting: float  # steps that a gradient has an effect on, by the momentum
    rows: list[tuple[int, float, float]]  # epoch, first and last rate


@dataclass(frozen=True)
class Panel:
    errors: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[RecipeWarning] = field(default_factory=list)
    curve: Curve | None = None
    images: AugmentationPreview | None = None
    image_problem: str = ""
    fallback: str = ""  # the data set whose images are shown instead of the chosen one's
    estimates: list[Estimate] = field(default_factory=list)


def build_panel(form: RecipeForm, here: State, images: int) -> Panel:
    """`images`: how many to show; 0 leaves them out and loads no image library."""
    try:
        resolved = form.resolve(here.settings.datasets_dir)
        train_images = count_training_images(resolved.recipe, here.settings.datasets_dir)
        curve = _curve(resolved.recipe, train_images) if train_images else None
    except InvalidRecipe as problem:
        return Panel(errors=problem.mistakes)
    with here.records.read() as session:
        found = warnings.recipe_warnings(session, resolved.recipe, resolved.preset, here.settings.datasets_dir)
        costs = estimates.estimate_cost(session, resolved.recipe)
    drawn = _render_images(resolved.recipe, here.previews, images) if images else {}
    return Panel(warnings=found, curve=curve, estimates=costs, **drawn)


def _render_images(recipe: Recipe, previews: AugmentationPreviews, count: int) -> dict[str, Any]:
    try:
        return {"images": previews.augmentation(recipe, count)}
    except InvalidRecipe as problem:
        reason = "; ".join(sentence for _, sentence in problem.mistakes)
        if recipe.dataset.name == FALLBACK_DATASET or any(path != "dataset.name" for path, _ in problem.mistakes):
            return {"image_problem": reason}
    other = recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"name": FALLBACK_DATASET})})
    try:
        drawn = previews.augmentation(other, count)
    except InvalidRecipe as problem:  # its limits do not fit the fallback either
        return {"image_problem": reason + "; " + "; ".join(sentence for _, sentence in problem.mistakes)}
    return {"images": drawn, "image_problem": reason, "fallback": FALLBACK_DATASET}


def _curve(recipe: Recipe, train_images: int) -> Curve:
    run = calendar(recipe, train_images)
    if not run.total:
        raise no_steps_error(train_images)
    steps = np.unique(np.linspace(0, run.total - 1, min(run.total, SAMPLED_STEPS)).round())
    rates = rates_at(recipe, train_images, steps).astype(float)
    change = np.diff(rates) / np.diff(steps) * run.per_epoch if run.total > 1 else np.zeros(1)
    peak = int(np.argmax(rates))
    epochs = np.unique(np.linspace(1, recipe.epochs, min(recipe.epochs, TABLE_ROWS)).round())
    first, last = (rates_at(recipe, train_images, at).tolist() for at in _first_and_last_step(epochs, run.per_epoch))
    return Curve(
        figure=run_charts.schedule_figure(recipe, train_images),
        steps=run.total,
        per_epoch=run.per_epoch,
        peak=rates[peak],
        peak_epoch=(steps[peak] + 1) / run.per_epoch,
        last=rates[-1],
        rise=max(change.max(), 0.0),
        fall=max(-change.min(), 0.0),
        lasting=1 / (1 - recipe.optimizer.momentum),
        rows=list(zip(epochs.astype(int).tolist(), first, last, strict=True)),
    )


def _first_and_last_step(epochs: Float64, per_epoch: int) -> tuple[Float64, Float64]:
    """The first and the last step of each epoch (from 1)."""
    return (epochs - 1) * per_epoch, epochs * per_epoch - 1
