"""The accuracy used for ranking: with test-time augmentation (TTA) if the recipe enables it, else without.

Targets, milestones, best and last epochs, boards and groups use it. An epoch's `val_accuracy` is always without TTA;
pages and exports always show both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func

from app.metrics.epochs import EpochResponse
from app.records.models import Epoch
from trainer.events import EpochEnded, Event

FORWARD_PASSES = {"none": 1, "flip": 2, "six": 6}  # for each validation image
RANKING_ACCURACY: ColumnElement[float | None] = func.coalesce(Epoch.tta_accuracy, Epoch.val_accuracy)

Validated = Epoch | EpochEnded | EpochResponse


def ranking_accuracy(epoch: Validated) -> float | None:
    """RANKING_ACCURACY of a loaded epoch. A share; None: not validated."""
    return epoch.val_accuracy if epoch.tta_accuracy is None else epoch.tta_accuracy


def accuracy_without_tta(epoch: Validated) -> float | None:
    """None if the epoch has no TTA accuracy: then the ranking accuracy itself is without TTA."""
    return None if epoch.tta_accuracy is None else epoch.val_accuracy


def drop_unrequested_tta(events: Sequence[Event], recipe: Mapping[str, Any]) -> list[Event]:
    """Remove TTA results that the recipe does not enable, so that every TTA accuracy in the records is for ranking."""
    if has_tta(recipe):
        return list(events)
    without = {"tta_accuracy": None, "tta_seconds": 0.0}
    return [event.model_copy(update=without) if isinstance(event, EpochEnded) else event for event in events]


def has_tta(recipe: Mapping[str, Any]) -> bool:
    return tta_views(recipe) != "none"


def tta_views(recipe: Mapping[str, Any]) -> str:
    """none, flip or six. Recipes stored before TTA existed have no such setting."""
    return recipe.get("tta") or "none"


def describe_tta(recipe: Mapping[str, Any]) -> str:
    """`TTA flip, 2 forward passes`."""
    views = tta_views(recipe)
    return "no TTA" if views == "none" else f"TTA {views}, {FORWARD_PASSES[views]} forward passes"
