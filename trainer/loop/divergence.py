"""Detects a diverged run: its loss is not finite any more, or above the recipe's limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.failures import Diverged
from trainer.recipe import Recipe
from trainer.recipe.schedule import Piecewise


def refuse_not_finite(recipe: Recipe, value: float, what: str) -> None:
    """Raises Diverged if `value` is not finite. `what` names it in the message."""
    if not math.isfinite(value):
        raise Diverged(f"{what} is not a number", _hint(recipe))


def refuse_diverged(recipe: Recipe, loss: float, penalty: float, what: str) -> None:
    """Raises Diverged if loss + penalty is not finite, or if the loss alone is above the recipe's limit."""
    refuse_not_finite(recipe, loss + penalty, what)
    if recipe.diverges_at is not None and loss > recipe.diverges_at:
        raise Diverged(f"{what} is {loss:.3g}, above the limit of {recipe.diverges_at:g} (diverges_at)", _hint(recipe))


def refuse_broken_state(recipe: Recipe, state: Mapping[str, NDArray[Any]]) -> None:
    """Raises Diverged if any array holds a value that is not finite; the loss would show it a step later."""
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            refuse_not_finite(recipe, math.nan, f"a value of {name}")


def _hint(recipe: Recipe) -> str:
    schedule = recipe.schedule
    if isinstance(schedule, Piecewise):
        return (
            f"Try a highest learning rate of {max(rate for _, rate in schedule.knots) / 2:g}, half of the schedule's."
        )
    for name in ("max_lr", "lr"):
        if rate := getattr(schedule, name, None):
            return f"Try half the learning rate: schedule.{name} {rate / 2:g} instead of {rate:g}."
    return "Lower the schedule's highest learning rate."
