"""The metrics a board can rank by: unit, direction, and how each is computed from the columns of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.board.samples import Row, has_finished
from app.metrics import milestones, statistics
from app.metrics.verdicts import Numbers, Scale

HOUR = 3600.0

Interval = tuple[float, float | None]  # an end of None: longer than any time


class TargetHit(NamedTuple):
    """The first epoch at which a run was at or above the target."""

    epoch: float
    elapsed: float  # seconds
    energy: float  # Wh; NaN: not measured


@dataclass(frozen=True)
class Metric:
    """`compute` returns None where the run has no such number: a miss if `is_to_target`, else not measured."""

    name: str
    title: str
    unit: Literal["share", "seconds", "epochs", "images/s", "Wh", "money"]
    is_better_higher: bool
    is_to_target: bool  # measured up to the target: runs that never reach it are misses
    compute: Callable[[Row, TargetHit | None, float | None], float | None]  # run, hit, price per hour
    is_measured: Callable[[Row, float | None], bool] = lambda row, price: True  # False: neither a number nor a miss

    @property
    def scale(self) -> Scale:
        """How its numbers are compared."""
        return "share" if self.unit == "share" else "count" if self.unit == "epochs" else "ratio"


@dataclass(frozen=True)
class Measurements:
    """The numbers of a sample."""

    numbers: Numbers  # of each included run that was measured
    unmeasured: int
    images: int | None  # validation images; None: not known

    def compute_value(self, metric: Metric) -> float | None:
        """What a row is ranked by: the mean, or for metrics to the target the median. None: not measured, or half of
        the runs or more missed the target.
        """
        if metric.is_to_target:
            return statistics.median_time(self.numbers.values)
        return statistics.compute_mean(self.numbers.known) if self.numbers.known else None

    def compute_spread(self, metric: Metric) -> tuple[statistics.Spread | None, Interval | None]:
        """Of the runs that have the number; and the 95 % interval of the value."""
        known = self.numbers.known
        if metric.is_to_target:
            return statistics.compute_spread(known) if known else None, statistics.median_interval(self.numbers.values)
        if not known:
            return None, None
        is_share = metric.unit == "share"
        spread = (
            statistics.compute_accuracy_spread(known, self.images) if is_share else statistics.compute_spread(known)
        )
        has_width = spread.low is not None and spread.low != spread.high  # else equal numbers: no evidence
        return spread, (spread.low, spread.high) if has_width and spread.low is not None else None


def measure(
    rows: Sequence[Row], hits: Sequence[TargetHit | None], metric: Metric, prices: dict[str, float]
) -> Measurements:
    """`rows`: included runs, with their hits of the target."""
    numbers: list[float | None] = []
    unmeasured = 0
    for row, hit in zip(rows, hits, strict=True):
        price = prices.get(row.worker or "")
        number = metric.compute(row, hit, price)
        if not metric.is_measured(row, price):
            unmeasured += 1
        elif metric.is_to_target or (number is not None and has_finished(row)):
            numbers.append(number)
        elif has_finished(row):
            unmeasured += 1
        elif metric.unit == "share":
            numbers.append(None)  # diverged: worse than any accuracy
    images = find_val_images(rows)
    reached = [hit.epoch for hit in hits if hit] if metric.is_to_target else []
    epochs = sum(reached) / len(reached) if reached else None
    return Measurements(Numbers(tuple(numbers), images if metric.unit == "share" else None, epochs), unmeasured, images)


def find_val_images(rows: Sequence[Row]) -> int | None:
    """How many images the runs were validated on, the fewest of them; None: not known."""
    return min((row.val_images for row in rows if row.val_images), default=None)


def _speed(row: Row, hit: TargetHit | None, price: float | None) -> float | None:
    if not row.images_per_epoch or not row.elapsed_seconds:
        return None
    return float(row.images_per_epoch * row.last_epoch / row.elapsed_seconds)


def _energy(row: Row, hit: TargetHit | None, price: float | None) -> float | None:
    return None if hit is None or math.isnan(hit.energy) else hit.energy


def _cost(row: Row, hit: TargetHit | None, price: float | None) -> float | None:
    return None if hit is None or price is None else price * hit.elapsed / HOUR


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Final accuracy", "share", True, False, lambda row, hit, price: row.last_val_accuracy),
        Metric("best_accuracy", "Best accuracy", "share", True, False, lambda row, hit, price: row.best_val_accuracy),
        Metric("time_to_target", "Time to target", "seconds", False, True,
               lambda row, hit, price: hit.elapsed if hit else None),
        Metric("epochs_to_target", "Epochs to target", "epochs", False, True,
               lambda row, hit, price: hit.epoch if hit else None),
        Metric("images_per_second", "Speed", "images/s", True, False, _speed),
        Metric("energy", "Energy to target", "Wh", False, True, _energy, lambda row, price: row.energy_wh is not None),
        Metric("cost", "Cost to target", "money", False, True, _cost, lambda row, price: price is not None),
    )
}  # fmt: skip


def find_target_hits(rows: Sequence[Row], target: float) -> list[TargetHit | None]:
    """One for each run. None: a miss, also where a run reached the target and diverged later."""
    first = milestones.find_first_at(target, [row.milestones for row in rows]).tolist()
    return [
        TargetHit(epoch, elapsed, energy) if has_finished(row) and not math.isnan(epoch) else None
        for row, (epoch, elapsed, energy, _) in zip(rows, first, strict=True)
    ]
