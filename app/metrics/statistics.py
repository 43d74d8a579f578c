"""What repeats of a recipe say of it: spread, share that reached the target, and whether two can be told apart.

Formulas are SciPy's, which is imported where it is first needed: that takes a second of a start. Pure functions of
numbers: accuracies are shares (0..1), times seconds. Must not know runs or the database.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np

ALPHA = 0.05  # of intervals and of telling apart

CACHE_SIZE = 2000  # answers remembered: a millisecond each, and a board asks the same again and again

Test = Literal["means", "times"]
Numbers = tuple[float | None, ...]


def prepare() -> None:
    """Load SciPy now, so that the first board need not wait for it."""
    import scipy.stats  # noqa: F401


@dataclass(frozen=True)
class Spread:
    """Of one number over n runs. With n = 1 there is no spread: `sd`, `low` and `high` are None."""

    n: int
    mean: float
    median: float
    sd: float | None  # of the sample: n - 1 below the line
    low: float | None  # 95 % interval of the mean
    high: float | None
    smallest: float
    largest: float


@dataclass(frozen=True)
class Reached:
    """How many of n runs reached the target."""

    count: int
    n: int
    low: float  # 95 % interval of the share
    high: float
    next: float  # probability that the next run will


def spread(values: Sequence[float]) -> Spread:
    """Mean, deviation and the mean's interval by Student's t (scipy.stats.t). ValueError: no values."""
    if not values:
        raise ValueError("no values")
    n, mean, ordered = len(values), math.fsum(values) / len(values), sorted(values)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n == 1:
        return Spread(1, mean, median, None, None, None, mean, mean)
    sd = float(np.std(values, ddof=1))  # of the sample
    half = _t(n - 1) * sd / math.sqrt(n)
    return Spread(n, mean, median, sd, mean - half, mean + half, ordered[0], ordered[-1])


def spread_of_known(values: Sequence[float | None]) -> Spread | None:
    """The same without those that are None; None: all of them are."""
    known = [value for value in values if value is not None]
    return spread(known) if known else None


@cache
def reached(count: int, n: int) -> Reached:
    """Wilson's interval (scipy.stats.binomtest), and the chance of the next run: (count + 1/2) / (n + 1), the mean of
    what is known of the share after Jeffreys' prior. Raises ValueError unless 0 <= count <= n and n > 0.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n}")
    from scipy import stats

    interval = stats.binomtest(count, n).proportion_ci(1 - ALPHA, method="wilson")
    return Reached(count, n, float(interval.low), float(interval.high), (count + 0.5) / (n + 1))


def median_time(times: Sequence[float | None]) -> float | None:
    """The median, a miss (None) counting as longer than any time: None where half of the runs or more missed.

    Of an even number it is the mean of the middle two, as usual, so that one miss among the two makes it a miss.
    """
    if not times:
        return None
    ordered = sorted(math.inf if time is None else time for time in times)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return None if math.isinf(middle) else middle


def like_the_first(samples: Sequence[Sequence[float | None]], test: Test) -> list[bool]:
    """Which samples cannot be told from the first one, at ALPHA over the whole board.

    `means`: Welch's t test (None are left out); `times`: the same where neither has a miss, else Mann and Whitney's
    (None is longer than any time). The first is like itself. A sample of fewer than two can be told from nothing.

    Holm's correction counts all pairs, not only those with the first: which one stands first was found by looking at
    all of them. So that recipes that are all the same stand together on 95 of 100 boards.
    """
    if not samples:
        return []
    first, *others = (tuple(sample) for sample in samples)
    p = [
        _ranks(first, other) if test == "times" and None in first + other else _means(first, other) for other in others
    ]
    known = [value for value in p if value is not None]
    differ = iter(_holm(known, len(known) * (len(known) + 1) // 2))
    return [True, *(value is None or not next(differ) for value in p)]


@cache
def _t(freedom: int) -> float:
    """How many standard errors the interval reaches to each side."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / 2, freedom))


def _holm(p: Sequence[float], m: int) -> list[bool]:
    """Which differ at ALPHA over `m` tests, those in `p` and others that tell nothing apart: the smallest p is held
    against ALPHA / m, the next against ALPHA / (m - 1), and so on until one fails. Source: Holm, A simple sequentially
    rejective multiple test procedure, 1979. Our own, because statsmodels' collects garbage at each call, which takes
    longer than the rest of a board.
    """
    differ = [False] * len(p)
    for done, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        if p[at] > ALPHA / (m - done):
            break
        differ[at] = True
    return differ


@lru_cache(CACHE_SIZE)
def _means(first: Numbers, other: Numbers) -> float | None:
    """p of Welch's test; None where there is nothing to test."""
    from scipy import stats

    one, two = ([value for value in sample if value is not None] for sample in (first, other))
    if len(one) < 2 or len(two) < 2:
        return None
    if len(set(one)) == len(set(two)) == 1:  # no spread at all: the test divides by it
        return float(one[0] == two[0])
    (mean, sd), (other_mean, other_sd) = (
        (float(np.mean(sample)), float(np.std(sample, ddof=1))) for sample in (one, two)
    )
    found = stats.ttest_ind_from_stats(mean, sd, len(one), other_mean, other_sd, len(two), equal_var=False)
    return float(found.pvalue)


@lru_cache(CACHE_SIZE)
def _ranks(first: Numbers, other: Numbers) -> float | None:
    from scipy import stats

    one, two = ([math.inf if value is None else value for value in sample] for sample in (first, other))
    if len(one) < 2 or len(two) < 2:
        return None
    if len({*one, *two}) == 1:  # all the same, perhaps all misses
        return 1.0
    return float(stats.mannwhitneyu(one, two, alternative="two-sided").pvalue)
