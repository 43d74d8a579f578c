"""Statistics over the runs of a recipe: spread, share that reached the target, significance of differences.

SciPy has the formulas. It is imported on first use, because importing it would add a second to every start. Accuracies
are shares (0..1), times seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np

ALPHA = 0.05  # of intervals and tests
CACHE_SIZE = 2000  # results: a millisecond each, and a board needs the same ones again and again

Test = Literal["means", "times"]
Numbers = tuple[float | None, ...]


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
    low: float | None  # 95 % confidence interval of the mean
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


def compute_spread(values: Sequence[float]) -> Spread:
    """The interval of the mean is by Student's t (scipy.stats.t). Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    n, mean, ordered = len(values), math.fsum(values) / len(values), sorted(values)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n == 1:
        return Spread(1, mean, median, None, None, None, mean, mean)
    sd = float(np.std(values, ddof=1))
    half = _t_quantile(n - 1) * sd / math.sqrt(n)
    return Spread(n, mean, median, sd, mean - half, mean + half, ordered[0], ordered[-1])


def compute_spread_of_known(values: Sequence[float | None]) -> Spread | None:
    """Over the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return compute_spread(known) if known else None


@cache
def compute_reach_rate(count: int, n: int) -> ReachRate:
    """Wilson's interval (scipy.stats.binomtest), and the probability that the next run reaches the target:
    (count + 1/2) / (n + 1), the posterior mean with Jeffreys' prior. ValueError unless 0 <= count <= n and n > 0.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n}")
    from scipy import stats

    interval = stats.binomtest(count, n).proportion_ci(1 - ALPHA, method="wilson")
    return ReachRate(count, n, float(interval.low), float(interval.high), (count + 0.5) / (n + 1))


def median_time(times: Sequence[float | None]) -> float | None:
    """The median, with a miss (None) longer than any time; None if half of the runs or more missed.

    For an even number it is the mean of the middle two, so that one miss among these two makes it a miss.
    """
    if not times:
        return None
    ordered = sorted(math.inf if time is None else time for time in times)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return None if math.isinf(middle) else middle


def find_ties_with_first(samples: Sequence[Sequence[float | None]], test: Test) -> list[bool]:
    """Which samples are not significantly different from the first, at ALPHA over the whole board.

    `means`: Welch's t test (None is left out). `times`: the same where neither sample has a miss, else the
    Mann-Whitney U test (None is longer than any time). The first is tied with itself; a sample of fewer than two is
    tied with any.

    Holm's correction is for all pairs, not only those with the first, because the first was chosen by looking at all of
    them. So on 95 of 100 boards, recipes that are all the same are all tied.
    """
    if not samples:
        return []
    first, *others = (tuple(sample) for sample in samples)
    p = [
        _mann_whitney_p(first, other) if test == "times" and None in first + other else _welch_p(first, other)
        for other in others
    ]
    known = [value for value in p if value is not None]
    rejected = iter(_reject_by_holm(known, len(known) * (len(known) + 1) // 2))
    return [True, *(value is None or not next(rejected) for value in p)]


@cache
def _t_quantile(freedom: int) -> float:
    """Half the width of the interval, in standard errors. `freedom`: degrees of freedom."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / 2, freedom))


def _reject_by_holm(p: Sequence[float], m: int) -> list[bool]:
    """Which hypotheses are rejected at ALPHA over `m` tests: those in `p`, and others that reject nothing. The smallest
    p is compared with ALPHA / m, the next with ALPHA / (m - 1), and so on until one fails. Source: Holm, A simple
    sequentially rejective multiple test procedure, 1979. Not statsmodels', which runs the garbage collector at each
    call: that takes longer than the rest of a board.
    """
    rejected = [False] * len(p)
    for done, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        if p[index] > ALPHA / (m - done):
            break
        rejected[index] = True
    return rejected


@lru_cache(CACHE_SIZE)
def _welch_p(first: Numbers, other: Numbers) -> float | None:
    """p of Welch's test; None if a sample has fewer than two values."""
    from scipy import stats

    one, two = ([value for value in sample if value is not None] for sample in (first, other))
    if len(one) < 2 or len(two) < 2:
        return None
    if len(set(one)) == len(set(two)) == 1:  # the test would divide by a spread of 0
        return float(one[0] == two[0])
    (mean, sd), (other_mean, other_sd) = (
        (float(np.mean(sample)), float(np.std(sample, ddof=1))) for sample in (one, two)
    )
    found = stats.ttest_ind_from_stats(mean, sd, len(one), other_mean, other_sd, len(two), equal_var=False)
    return float(found.pvalue)


@lru_cache(CACHE_SIZE)
def _mann_whitney_p(first: Numbers, other: Numbers) -> float | None:
    from scipy import stats

    one, two = ([math.inf if value is None else value for value in sample] for sample in (first, other))
    if len(one) < 2 or len(two) < 2:
        return None
    if len({*one, *two}) == 1:  # all the same, for example all misses
        return 1.0
    return float(stats.mannwhitneyu(one, two, alternative="two-sided").pvalue)
