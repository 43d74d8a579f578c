"""What a board can rank by: for each metric its unit, which way is better, and how a run's number comes about.

Pure functions of a run's columns. Must not know the database, HTML or how rows are ranked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.board.samples import Row, has_finished
from app.metrics import milestones

HOUR = 3600.0


class Reach(NamedTuple):
    """When a run first was at or above the target."""

    epoch: float
    elapsed: float  # seconds
    energy: float  # Wh; not-a-number where nobody measured


@dataclass(frozen=True)
class Metric:
    """`of` answers None where the run has no such number: a miss where `reaches`, else not measured."""

    name: str
    title: str
    unit: Literal["share", "seconds", "epochs", "images/s", "Wh", "money"]
    is_better_higher: bool
    reaches: bool  # it is about the way to the target: runs that never got there count as misses
    of: Callable[[Row, Reach | None, float | None], float | None]  # run, reach, price per hour
    is_measured: Callable[[Row, float | None], bool] = lambda row, price: True  # else neither a number nor a miss


def _speed(row: Row, reach: Reach | None, price: float | None) -> float | None:
    if not row.train_images or not row.elapsed_seconds:
        return None
    return float(row.train_images * row.last_epoch / row.elapsed_seconds)


def _energy(row: Row, reach: Reach | None, price: float | None) -> float | None:
    return None if reach is None or math.isnan(reach.energy) else reach.energy


def _cost(row: Row, reach: Reach | None, price: float | None) -> float | None:
    return None if reach is None or price is None else price * reach.elapsed / HOUR


METRICS = {
    one.name: one
    for one in (
        Metric("accuracy", "Final accuracy", "share", True, False, lambda row, reach, price: row.last_val_accuracy),
        Metric("best_accuracy", "Best accuracy", "share", True, False, lambda row, reach, price: row.best_val_accuracy),
        Metric("time_to_target", "Time to target", "seconds", False, True,
               lambda row, reach, price: reach.elapsed if reach else None),
        Metric("epochs_to_target", "Epochs to target", "epochs", False, True,
               lambda row, reach, price: reach.epoch if reach else None),
        Metric("images_per_second", "Speed", "images/s", True, False, _speed),
        Metric("energy", "Energy to target", "Wh", False, True, _energy, lambda row, price: row.energy_wh is not None),
        Metric("cost", "Cost to target", "money", False, True, _cost, lambda row, price: price is not None),
    )
}  # fmt: skip


def reaches(rows: Sequence[Row], target: float) -> list[Reach | None]:
    """When each run first was there; None: a miss, among these whoever diverged after it had been there."""
    first = milestones.first_at(target, [row.milestones for row in rows]).tolist()
    return [
        Reach(epoch, elapsed, energy) if has_finished(row) and not math.isnan(epoch) else None
        for row, (epoch, elapsed, energy, _) in zip(rows, first, strict=True)
    ]
