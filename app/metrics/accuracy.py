"""The accuracy that counts: with test-time augmentation (TTA) where the recipe asks for it, else the plain one.

Targets, milestones, best and last epochs, boards and groups go by it. An epoch's `val_accuracy` is always the plain
one; what shows a number shows both. Must not know HTTP, HTML or who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func

from app.metrics.epochs import EpochResponse
from app.records.models import Epoch
from trainer.events import EpochEnded, Event

PASSES = {"none": 1, "flip": 2, "six": 6}  # forward, of each validation picture
RANKING_ACCURACY: ColumnElement[float | None] = func.coalesce(Epoch.tta_accuracy, Epoch.val_accuracy)

Validated = Epoch | EpochEnded | EpochResponse


def ranking_accuracy(epoch: Validated) -> float | None:
    """What ACCURACY is in SQL. Share; None: nobody validated it."""
    return epoch.val_accuracy if epoch.tta_accuracy is None else epoch.tta_accuracy


def accuracy_without_tta(epoch: Validated) -> float | None:
    """The plain accuracy where another one counts; None: it counts itself."""
    return None if epoch.tta_accuracy is None else epoch.val_accuracy


def without_unasked_tta(events: Sequence[Event], recipe: Mapping[str, Any]) -> list[Event]:
    """Without TTA where the recipe asks for none, whatever a trainer says: so a TTA accuracy in the records counts."""
    if has_tta(recipe):
        return list(events)
    without = {"tta_accuracy": None, "tta_seconds": 0.0}
    return [event.model_copy(update=without) if isinstance(event, EpochEnded) else event for event in events]


def has_tta(recipe: Mapping[str, Any]) -> bool:
    return tta_views(recipe) != "none"


def tta_views(recipe: Mapping[str, Any]) -> str:
    """Of each validation picture. Recipes of before know no such knob."""
    return recipe.get("tta") or "none"


def describe_tta(recipe: Mapping[str, Any]) -> str:
    """`TTA flip, 2 forward passes`."""
    of = tta_views(recipe)
    return "no TTA" if of == "none" else f"TTA {of}, {PASSES[of]} forward passes"
