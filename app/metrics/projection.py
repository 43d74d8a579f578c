"""When a run that trains will first reach its target: from its curve so far and what the same recipe did before.

Pure functions of curves. Accuracies are shares (0..1), times seconds of the training clock. Must not know the database.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.metrics.curves import Curve, Floats, band
from app.metrics.statistics import median_time, reached

RECENT = 5  # epochs that say how long the next will take
LOOKED_AT = 3  # latest epochs whose distance from the others' mean counts
MIN_EPOCHS = 6  # epochs of a curve alone that a line is drawn through
OUTER = 0.1  # of the ways lie below the interval, and as many above


@dataclass(frozen=True)
class Projection:
    """`seconds` and `epoch` of the median way; None: half of the ways or more miss. `late` None: perhaps never."""

    epoch: float | None
    seconds: float | None
    early: float | None
    late: float | None
    chance: float  # that it is reached within the planned epochs
    rests_on: int  # earlier runs; 0: this curve alone


def project(curve: Curve, epochs: int, target: float, history: Sequence[Curve]) -> Projection | None:
    """`epochs`: planned. None: nothing can be said yet. `curve` has not reached the target."""
    now = int(curve.epoch[-1])
    further = [one for one in history if one.epoch[-1] > now]
    if further:
        ways, chance = _ways(curve, target, further)
    elif len(curve.epoch) >= MIN_EPOCHS:
        ways, chance = _alone(curve, epochs, target)
    else:
        return None
    each = float(np.mean(curve.seconds[-RECENT:]))
    times = [None if way is None else float(curve.elapsed[-1]) + (way - now) * each for way in ways]
    early, late = _ends(times)
    return Projection(median_time(ways), median_time(times), early, late, chance, len(further))


def _ways(curve: Curve, target: float, history: Sequence[Curve]) -> tuple[list[float | None], float]:
    """The epoch at which the target is reached if the rest goes as with each earlier run (None: not at all).

    Each is the others' mean, what this run keeps of its distance from it, and that run's own deviation. What is kept
    is how much earlier runs kept: the slope of their later deviations over those at this epoch (a half where fewer
    than three can tell).
    """
    now = int(curve.epoch[-1])
    found = band(history)
    mean, at = found.mean, found.epoch
    deviations = [_deviation(one, at, mean) for one in history]
    ahead = _near(_deviation(curve, at, mean), at, now)
    later = at > now
    kept = _kept([_near(one, at, now) for one in deviations], [one[later] for one in deviations])
    ways = [_first(at[later], (mean + kept * ahead + one)[later], target) for one in deviations]
    return ways, reached(sum(way is not None for way in ways), len(ways)).next


def _deviation(curve: Curve, at: Floats, mean: Floats) -> Floats:
    """From the mean, at the epochs `at`; not-a-number where the run has no such epoch."""
    own = dict(zip(curve.epoch.tolist(), curve.counted_accuracy.tolist(), strict=True))
    return np.array([own.get(epoch, math.nan) for epoch in at.tolist()]) - mean


def _near(deviation: Floats, at: Floats, now: int) -> float:
    """The mean over the latest epochs up to `now`."""
    some = deviation[(at <= now) & (at > now - LOOKED_AT)]
    known = some[~np.isnan(some)]
    return float(known.mean()) if len(known) else 0.0


def _kept(near: Sequence[float], later: Sequence[Floats]) -> float:
    if len(near) < 3 or not any(near):
        return 0.5
    ends = np.array([np.nanmean(one) if not np.isnan(one).all() else 0.0 for one in later])
    return float(np.clip(np.dot(near, ends) / np.dot(near, near), 0, 1))


def _first(at: Floats, accuracy: Floats, target: float) -> float | None:
    reaching = np.flatnonzero(accuracy >= target)
    return float(at[reaching[0]]) if len(reaching) else None


def _alone(curve: Curve, epochs: int, target: float) -> tuple[list[float | None], float]:
    """A straight line through the logarithms of error and epoch over the later half of the curve (errors fall as a
    power of the epochs: Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017), with its prediction
    interval by Student's t. Three ways: the early one, the middle, the late one.
    """
    from scipy import stats

    known = ~np.isnan(curve.counted_accuracy) & (curve.counted_accuracy < 1)
    some = slice(-max(MIN_EPOCHS, int(known.sum()) // 2), None)
    x, y = np.log(curve.epoch[known][some]), np.log1p(-curve.counted_accuracy[known][some])
    if len(x) < MIN_EPOCHS:
        return [None] * 3, 0.0
    fit = stats.linregress(x, y)
    n, spread = len(x), float(np.sum((x - x.mean()) ** 2))
    rest = np.arange(int(curve.epoch[-1]) + 1, epochs + 1, dtype=np.float64)
    if not len(rest):
        return [None] * 3, 0.0
    sigma = float(np.sqrt(np.sum((y - fit.intercept - fit.slope * x) ** 2) / (n - 2))) + 1e-9
    middle = fit.intercept + fit.slope * np.log(rest)
    width = sigma * np.sqrt(1 + 1 / n + (np.log(rest) - x.mean()) ** 2 / spread)
    outer = float(stats.t.ppf(1 - OUTER, n - 2))
    aim = math.log1p(-target)
    ways = [_first(rest, -(middle + shift * outer * width), -aim) for shift in (-1, 0, 1)]
    return ways, float(stats.t.cdf((aim - middle[-1]) / width[-1], n - 2))


def _ends(times: Sequence[float | None]) -> tuple[float | None, float | None]:
    """The interval of all but the outer ways; of a few it is the first and the last."""
    ordered = sorted(math.inf if time is None else time for time in times)
    last = len(ordered) - 1
    ends = ordered[math.floor(OUTER * last)], ordered[math.ceil((1 - OUTER) * last)]
    early, late = (None if math.isinf(end) else end for end in ends)
    return early, late
