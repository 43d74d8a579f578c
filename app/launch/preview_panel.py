"""What stands beside the form: the recipe check, the learning rate, the changed pictures. For a template.

Must not know routes or HTML. A recipe that is wrong shows what is wrong, not an error page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.charts import run_charts
from app.errors import InvalidRecipe
from app.images.augmentation import Augmentation, Previews, no_step
from app.launch import estimates
from app.launch import warnings as advice
from app.launch.estimates import Estimate
from app.launch.form import Posted
from app.runs.recipes import count_training_images
from app.web.deps import State
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import Float64, calendar, rates_at
from trainer.recipe.warning import RecipeWarning

TABLE_ROWS = 24  # of epochs, beside the curve
LOOKED_AT_STEPS = 20_000  # evenly, where a run has more: for its peak and its steepest change
STAND_IN = "digits"  # where the chosen data set is not on this machine yet


@dataclass(frozen=True)
class Curve:
    """The schedule of a whole run, drawn and in words. Rates are per step."""

    figure: dict[str, Any]
    steps: int
    per_epoch: int
    peak: float
    peak_epoch: float
    last: float
    rise: float  # steepest, per epoch; 0 where it never rises
    fall: float
    lasting: float  # steps that a gradient keeps acting for, by the momentum
    rows: list[tuple[int, float, float]]  # epoch, first and last rate


@dataclass(frozen=True)
class Panel:
    wrong: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[RecipeWarning] = field(default_factory=list)
    curve: Curve | None = None
    pictures: Augmentation | None = None
    picture_problem: str = ""
    stands_in: str = ""  # the data set whose pictures are shown instead of the chosen one's
    estimates: list[Estimate] = field(default_factory=list)


def panel(form: Posted, here: State, pictures: int) -> Panel:
    """`pictures`: how many to show; 0 leaves them out, which saves loading what draws them."""
    try:
        resolved = form.resolved(here.settings.datasets_dir)
        train_images = count_training_images(resolved.recipe, here.settings.datasets_dir)
        curve = _curve(resolved.recipe, train_images) if train_images else None
    except InvalidRecipe as problem:
        return Panel(wrong=problem.mistakes)
    with here.records.read() as session:
        warnings = advice.of_recipe(session, resolved.recipe, resolved.preset, here.settings.datasets_dir)
        found = estimates.estimate_cost(session, resolved.recipe)
    shown = _pictures(resolved.recipe, here.previews, pictures) if pictures else {}
    return Panel(warnings=warnings, curve=curve, estimates=found, **shown)


def _pictures(recipe: Recipe, previews: Previews, count: int) -> dict[str, Any]:
    try:
        return {"pictures": previews.augmentation(recipe, count)}
    except InvalidRecipe as problem:
        said = "; ".join(sentence for _, sentence in problem.mistakes)
        if recipe.dataset.name == STAND_IN or any(path != "dataset.name" for path, _ in problem.mistakes):
            return {"picture_problem": said}
    other = recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"name": STAND_IN})})
    try:
        shown = previews.augmentation(other, count)
    except InvalidRecipe as problem:  # its limits do not fit the stand-in either
        return {"picture_problem": said + "; " + "; ".join(sentence for _, sentence in problem.mistakes)}
    return {"pictures": shown, "picture_problem": said, "stands_in": STAND_IN}


def _curve(recipe: Recipe, train_images: int) -> Curve:
    run = calendar(recipe, train_images)
    if not run.total:
        raise no_step(train_images)
    looked_at = np.unique(np.linspace(0, run.total - 1, min(run.total, LOOKED_AT_STEPS)).round())
    found = rates_at(recipe, train_images, looked_at).astype(float)
    change = np.diff(found) / np.diff(looked_at) * run.per_epoch if run.total > 1 else np.zeros(1)
    peak = int(np.argmax(found))
    shown = np.unique(np.linspace(1, recipe.epochs, min(recipe.epochs, TABLE_ROWS)).round())
    first, last = (rates_at(recipe, train_images, at).tolist() for at in _ends(shown, run.per_epoch))
    return Curve(
        figure=run_charts.of_schedule(recipe, train_images),
        steps=run.total,
        per_epoch=run.per_epoch,
        peak=found[peak],
        peak_epoch=(looked_at[peak] + 1) / run.per_epoch,
        last=found[-1],
        rise=max(change.max(), 0.0),
        fall=max(-change.min(), 0.0),
        lasting=1 / (1 - recipe.optimizer.momentum),
        rows=list(zip(shown.astype(int).tolist(), first, last, strict=True)),
    )


def _ends(epochs: Float64, per_epoch: int) -> tuple[Float64, Float64]:
    """The first and the last step of each epoch (from 1)."""
    return (epochs - 1) * per_epoch, epochs * per_epoch - 1
