"""Statistics over the runs of a recipe: mean and spread, median, share that reached the target.

SciPy has the formulas. It is imported on first use, because importing it would add a second to every start. Accuracies
are shares (0..1), times seconds. Which recipe is better is for app.metrics.verdicts to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

ALPHA = 0.05  # of intervals


def load_scipy() -> None:
    """Import SciPy now, so that the first board does not have to wait for it."""
    import scipy.stats  # noqa: F401


@dataclass(frozen=True)
class Spread:
    """One number over n runs. `sd`, `low` and `high` are None for n = 1."""

    n: int
    mean: float
    median: float
    sd: float | None  # of the sample (n - 1)
    low: float | None  # 95 % confidence interval of the mean, or of the median if it says so
    high: float | None
    smallest: float
    largest: float


@dataclass(frozen=True)
class ReachRate:
    """How many of n runs reached the target."""

    count: int
    n: int
    low: float  # 95 % confidence interval of the share
    high: float
    next_probability: float  # that the next run reaches it


def compute_spread(values: Sequence[float], floor: float = 0.0) -> Spread:
    """The interval of the mean is by Student's t (scipy.stats.t). `floor`: the least standard deviation that the values
    can have by their nature; the interval uses it where the sample's is smaller. Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values")
    n, mean, ordered = len(values), compute_mean(values), sorted(values)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n == 1:
        return Spread(1, mean, median, None, None, None, mean, mean)
    sd = compute_deviation(values)
    half = _t_quantile(n - 1) * max(sd, floor) / math.sqrt(n)
    return Spread(n, mean, median, sd, mean - half, mean + half, ordered[0], ordered[-1])


def compute_accuracy_spread(values: Sequence[float], images: int | None) -> Spread:
    """The spread of accuracies, each measured on `images` validation images (None: not known).

    Accuracies of few images are coarse: two equal ones do not mean that the next is the same. So the deviation behind
    the interval is at least that of counting (`accuracy_floor`). The interval stays within 0..1.
    """
    spread = compute_spread(values, accuracy_floor(values, images))
    if spread.low is None or spread.high is None:
        return spread
    clipped = {"low": max(spread.low, 0.0), "high": min(spread.high, 1.0)}
    return Spread(**{**vars(spread), **clipped})


def compute_time_spread(values: Sequence[float]) -> Spread:
    """Of times, energies or costs, which are skewed: `low` and `high` are of the median, by `median_interval`."""
    interval = median_interval(values)
    low, high = interval or (None, None)
    return Spread(**{**vars(compute_spread(values)), "low": low, "high": high})


def accuracy_floor(values: Sequence[float], images: int | None) -> float:
    """The least standard deviation of accuracies that were measured on `images` images; 0 if that is not known."""
    return float(counting_deviation(compute_mean(values), len(values), images)) if images and values else 0.0


def counting_deviation(mean: Any, n: Any, images: Any) -> Any:
    """Standard deviation of an accuracy that comes from counting `images` images alone: sqrt(p (1 - p) / images), the
    binomial one. `mean`: of n runs. p is estimated from all images of all runs, with half an image added (Jeffreys), so
    that it is not 0 where every image was right. Numbers or arrays.
    """
    share = (mean * n * images + 0.5) / (n * images + 1)
    return (share * (1 - share) / images) ** 0.5


def compute_mean(values: Sequence[float]) -> float:
    """Exactly the value where all are equal, which a sum divided by n is not."""
    low, high = min(values), max(values)
    return low if low == high else min(max(math.fsum(values) / len(values), low), high)


def compute_deviation(values: Sequence[float]) -> float:
    """Standard deviation of the sample (n - 1); 0 where all values are equal. Needs two values or more."""
    mean = compute_mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@cache
def compute_reach_rate(count: int, n: int) -> ReachRate:
    """The interval of Clopper and Pearson (scipy.stats.binomtest), which is never too narrow, and the probability that
    the next run reaches the target: (count + 1/2) / (n + 1), the posterior mean with Jeffreys' prior. ValueError unless
    0 <= count <= n and n > 0.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n}")
    from scipy import stats

    interval = stats.binomtest(count, n).proportion_ci(1 - ALPHA, method="exact")
    return ReachRate(count, n, float(interval.low), float(interval.high), (count + 0.5) / (n + 1))


def median_time(times: Sequence[float | None]) -> float | None:
    """The median, with a miss (None) longer than any time; None if half of the runs or more missed.

    For an even number it is the mean of the middle two, so that one miss among these two makes it a miss.
    """
    if not times:
        return None
    ordered = _sorted_times(times)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return None if math.isinf(middle) else middle


def median_interval(times: Sequence[float | None]) -> tuple[float, float | None] | None:
    """95 % confidence interval of the median, a miss (None) being longer than any time. None below six values: then no
    interval covers 95 %. An end of None: longer than any time.

    From the k-th shortest to the k-th longest value: it misses the median with probability 2 P(X < k), X binomial with
    n and 1/2, whatever the distribution of the times. Source: David and Nagaraja, Order Statistics, 2003, section 7.1.
    """
    if not (rank := _median_rank(len(times))):
        return None
    ordered = _sorted_times(times)
    low, high = ordered[rank - 1], ordered[-rank]
    return None if math.isinf(low) else (low, None if math.isinf(high) else high)


def _sorted_times(times: Sequence[float | None]) -> list[float]:
    return sorted(math.inf if time is None else time for time in times)


@cache
def _median_rank(n: int) -> int:
    """The largest k for which the interval covers 95 %; 0 if there is none."""
    tail, rank = 0.5**n, 0  # P(X <= rank)
    while tail <= ALPHA / 2 and rank < n:
        rank += 1
        tail += math.comb(n, rank) * 0.5**n
    return rank


@cache
def _t_quantile(freedom: int) -> float:
    """Half the width of the interval, in standard errors. `freedom`: degrees of freedom."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / 2, freedom))
