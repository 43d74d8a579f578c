"""A line of the table, and its statistics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    what: str
    measured: str
    bar: str


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share))


def interval_of_median(values: Sequence[float], level: float = 0.9) -> tuple[float, float]:
    """Percentile bootstrap of the median, 10,000 resamples, fixed seed."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
