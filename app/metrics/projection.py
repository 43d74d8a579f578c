"""Projects when a running run will first reach its target, from its curve so far and earlier runs of the recipe.

Accuracies are shares (0..1), times seconds on the training clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.metrics.curves import Curve, Floats, compute_band
from app.metrics.statistics import compute_reach_rate, median_time

SPEED_EPOCHS = 5  # latest epochs whose mean duration is that of the epochs to come
DEVIATION_EPOCHS = 3  # latest epochs over which a run's deviation from the mean is averaged
MIN_EPOCHS = 6  # to fit a line through a single curve
TAIL = 0.1  # share of the outcomes below the interval, and share above


@dataclass(frozen=True)
class Projection:
    """`epoch` and `seconds`: the median outcome; None: half of the outcomes or more miss the target."""

    epoch: float | None
    seconds: float | None
    early: float | None  # ends of the interval, in seconds
    late: float | None  # None: perhaps never
    chance: float  # that the target is reached within the planned epochs
    rests_on: int  # number of earlier runs used; 0: this curve alone


def project(curve: Curve, epochs: int, target: float, history: Sequence[Curve]) -> Projection | None:
    """None if there is too little to project from. `epochs`: planned. `curve` has not reached the target."""
    now = int(curve.epoch[-1])
    further = [one for one in history if one.epoch[-1] > now]
    if further:
        outcomes, chance = _project_from_history(curve, target, further)
    elif len(curve.epoch) >= MIN_EPOCHS:
        outcomes, chance = _project_from_curve(curve, epochs, target)
    else:
        return None
    seconds = float(np.mean(curve.seconds[-SPEED_EPOCHS:]))
    times = [None if epoch is None else float(curve.elapsed[-1]) + (epoch - now) * seconds for epoch in outcomes]
    early, late = _interval(times)
    return Projection(median_time(outcomes), median_time(times), early, late, chance, len(further))


def _project_from_history(curve: Curve, target: float, history: Sequence[Curve]) -> tuple[list[float | None], float]:
    """For each earlier run, the epoch at which the target is reached if the rest goes as it did there (None: never),
    and the probability that it is reached.

    An outcome is the mean of the earlier runs, plus the share of this run's deviation from it that persists, plus the
    earlier run's own deviation. The share that persists is the slope of the earlier runs' later deviations over those
    at this epoch (one half if there are fewer than three runs).
    """
    now = int(curve.epoch[-1])
    band = compute_band(history)
    mean, epochs = band.mean, band.epoch
    deviations = [_deviation(one, epochs, mean) for one in history]
    ahead = _recent_deviation(_deviation(curve, epochs, mean), epochs, now)
    later = epochs > now
    persistence = _persistence(
        [_recent_deviation(one, epochs, now) for one in deviations], [one[later] for one in deviations]
    )
    outcomes = [_first_epoch_at(epochs[later], (mean + persistence * ahead + one)[later], target) for one in deviations]
    reached = sum(epoch is not None for epoch in outcomes)
    return outcomes, compute_reach_rate(reached, len(outcomes)).next_probability


def _deviation(curve: Curve, epochs: Floats, mean: Floats) -> Floats:
    """The curve minus the mean, at `epochs`; NaN where the run has no such epoch."""
    own = dict(zip(curve.epoch.tolist(), curve.counted_accuracy.tolist(), strict=True))
    return np.array([own.get(epoch, math.nan) for epoch in epochs.tolist()]) - mean


def _recent_deviation(deviation: Floats, epochs: Floats, now: int) -> float:
    """The mean over the latest epochs up to `now`."""
    recent = deviation[(epochs <= now) & (epochs > now - DEVIATION_EPOCHS)]
    known = recent[~np.isnan(recent)]
    return float(known.mean()) if len(known) else 0.0


def _persistence(near: Sequence[float], later: Sequence[Floats]) -> float:
    if len(near) < 3 or not any(near):
        return 0.5
    ends = np.array([np.nanmean(one) if not np.isnan(one).all() else 0.0 for one in later])
    return float(np.clip(np.dot(near, ends) / np.dot(near, near), 0, 1))


def _first_epoch_at(epochs: Floats, accuracy: Floats, target: float) -> float | None:
    reaching = np.flatnonzero(accuracy >= target)
    return float(epochs[reaching[0]]) if len(reaching) else None


def _project_from_curve(curve: Curve, epochs: int, target: float) -> tuple[list[float | None], float]:
    """Three outcomes (early, middle, late), and the probability that the target is reached within `epochs`.

    Fits a straight line through the logarithms of error and epoch over the later half of the curve (errors fall as a
    power of the epochs: Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017), with its prediction
    interval by Student's t.
    """
    from scipy import stats

    known = ~np.isnan(curve.counted_accuracy) & (curve.counted_accuracy < 1)
    half = slice(-max(MIN_EPOCHS, int(known.sum()) // 2), None)
    x, y = np.log(curve.epoch[known][half]), np.log1p(-curve.counted_accuracy[known][half])
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
    outer = float(stats.t.ppf(1 - TAIL, n - 2))
    aim = math.log1p(-target)
    outcomes = [_first_epoch_at(rest, -(middle + shift * outer * width), -aim) for shift in (-1, 0, 1)]
    return outcomes, float(stats.t.cdf((aim - middle[-1]) / width[-1], n - 2))


def _interval(times: Sequence[float | None]) -> tuple[float | None, float | None]:
    """All but the tails; for a few outcomes, the first and the last."""
    ordered = sorted(math.inf if time is None else time for time in times)
    last = len(ordered) - 1
    ends = ordered[math.floor(TAIL * last)], ordered[math.ceil((1 - TAIL) * last)]
    early, late = (None if math.isinf(end) else end for end in ends)
    return early, late
