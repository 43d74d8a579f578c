"""Which of several recipes is better, tested again whenever one of their runs ends.

A test at 5 % is right 95 times of 100 only if it is asked once. Whoever looks after each further seed and stops at the
first difference sees a false one far more often. So each look uses a much smaller level, chosen by simulation such
that over all looks together at most 5 of 100 families of identical recipes ever show any difference. A family is what
is judged together: one pair, all rows of a board, or a board's rows against a pinned baseline.

The method is Pocock's: the same level at each look (Pocock, Group sequential methods, Biometrika 1977), divided by the
comparisons of the family (Holm, 1979), here with Welch's test, and with Mann and Whitney's where a run missed the
target. `docs/board.md` has the simulations that set LEVEL, and what the method costs in seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from app.metrics.statistics import ALPHA, accuracy_floor, compute_deviation, compute_mean

LEVEL = 0.007  # of each look: 5 % over all looks, by simulation
MAX_SEEDS = 20  # of each recipe; after it the level of a look falls so fast that more looks hardly add to the 5 %
MIN_SEEDS = 3  # below it nothing is judged
COUNT_DEVIATION = 0.5  # the least standard deviation of a whole number, for example of epochs

Floats = NDArray[np.float64]
Outcome = Literal["better", "worse", "equivalent", "undecided"]
# What the numbers are, and so how they are compared and in what unit their difference is:
#   share: accuracies; difference of the means
#   count: whole numbers; difference of the means
#   ratio: positive numbers such as seconds, Wh, money; by their logarithms, so that the difference is relative (0.1:
#          10 % more), and of the means only if one of them is not positive
Scale = Literal["share", "count", "ratio"]


@dataclass(frozen=True)
class Numbers:
    """One number for each run of a recipe, None being a miss: worse than any number. `images`: of an accuracy, how many
    validation images it was measured on."""

    values: tuple[float | None, ...]
    images: int | None = None

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(value for value in self.values if value is not None)

    @property
    def has_misses(self) -> bool:
        return None in self.values


@dataclass(frozen=True)
class Verdict:
    """What may be said of a candidate beside a baseline. `difference` and `interval` are candidate minus baseline, in
    the unit of the scale; None: not to be had, because of a miss or for want of runs."""

    outcome: Outcome
    difference: float | None
    interval: (
        tuple[float, float] | None
    )  # 95 % of this look alone, by Welch; at stopping the difference tends too large
    n: tuple[int, int]
    looks_left: int  # runs until both have the maximum
    seeds_needed: int | None  # further seeds of each until it is probably decided; None: unknown, or above the maximum


@dataclass(frozen=True)
class Ranks:
    """What may be said of all rows of a board."""

    is_better: NDArray[np.bool_]  # (rows, rows): whether one row is better than another
    intervals: list[tuple[int, int]]  # the best and the worst rank that each row may have, from 1

    def compare(self, baseline: int, candidate: int) -> Outcome:
        if self.is_better[candidate, baseline]:
            return "better"
        return "worse" if self.is_better[baseline, candidate] else "undecided"

    def is_tied(self, one: int, other: int) -> bool:
        return self.compare(one, other) == "undecided"


def judge(
    baseline: Numbers,
    candidate: Numbers,
    scale: Scale,
    *,
    is_better_higher: bool,
    comparisons: int = 1,
    margin: float | None = None,
    max_seeds: int = MAX_SEEDS,
) -> Verdict:
    """Judge a pair. `comparisons`: pairs of its family. `margin`: in the unit of the difference, positive; the pair is
    equivalent when the whole interval lies within it. That interval is wider than 95 %, because it is looked at as
    often as the difference.
    """
    pair = _prepare((baseline, candidate), scale)
    n = (len(baseline.values), len(candidate.values))
    p, sign = _test(pair)
    limit = LEVEL / comparisons * float(weight(pair.n[:1], pair.n[1:])[0])
    left = sum(max(max_seeds - count, 0) for count in n)
    difference, interval, wide = _difference(pair, limit)
    if p[0, 1] <= limit:
        is_better = (sign[0, 1] > 0) == is_better_higher
        return Verdict("better" if is_better else "worse", difference, interval, n, left, 0)
    if margin is not None and wide is not None and max(abs(wide[0]), abs(wide[1])) <= margin:
        return Verdict("equivalent", difference, interval, n, left, 0)
    return Verdict("undecided", difference, interval, n, left, _seeds_needed(pair, n, comparisons, max_seeds))


def rank(rows: Sequence[Numbers], scale: Scale, *, is_better_higher: bool, baseline: int | None = None) -> Ranks:
    """Judge all rows of a board together: every pair of them, or each against the row `baseline` alone.

    A row that is better than the baseline is also better than those that are worse than it, which costs no further
    test. The ranks that a row may have follow from the rows that are better and those that are worse: with 95 %
    confidence all intervals hold at once (Al Mohamad, Goeman, van Zwet, Simultaneous confidence intervals for ranks,
    2022).
    """
    if len(rows) < 2:
        return Ranks(np.zeros((len(rows), len(rows)), bool), [(1, 1)] * len(rows))
    group = _prepare(rows, scale)
    p, sign = _test(group)
    first, second = np.triu_indices(len(rows), 1)
    if baseline is not None:
        is_chosen = (first == baseline) | (second == baseline)
        first, second = first[is_chosen], second[is_chosen]
    adjusted = p[first, second] / np.maximum(weight(group.n[first], group.n[second]), 1e-300)
    rejected = reject_by_holm(adjusted)
    is_better = np.zeros(p.shape, bool)
    is_second_better = (sign[first, second] > 0) == is_better_higher
    is_better[second[rejected & is_second_better], first[rejected & is_second_better]] = True
    is_better[first[rejected & ~is_second_better], second[rejected & ~is_second_better]] = True
    if baseline is not None:
        is_better |= np.outer(is_better[:, baseline], is_better[baseline])
    best, worst = 1 + is_better.sum(axis=0), len(rows) - is_better.sum(axis=1)
    return Ranks(is_better, [(int(low), int(high)) for low, high in zip(best, worst, strict=True)])


def weight(n: Floats, other: Floats) -> Floats:
    """The part of LEVEL that a look of `n` and `other` seeds may use.

    None at two seeds and nearly all of it at ten or more: Welch's approximation is too bold far out in the tails of
    small samples, where a long board tests. Beyond MAX_SEEDS it falls by the fourth power, so that the looks after it
    add less than half a per cent to a family's 5 %. Both by simulation.
    """
    fewer, more = np.minimum(n, other), np.maximum(n, other)
    early = np.where(fewer >= MIN_SEEDS, (fewer - 2) / np.maximum(fewer - 1, 1), 0.0)
    return cast(Floats, early * np.minimum(1.0, MAX_SEEDS / np.maximum(more, 1)) ** 4)


def welch_p(n: Floats, mean: Floats, variance: Floats, other_n: Floats, other_mean: Floats, other: Floats) -> Floats:
    """p of Welch's test for two samples, elementwise; 1 where it has no meaning. Source: Welch, Biometrika 1947."""
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = variance / n, other / other_n
        t = np.abs(mean - other_mean) / np.sqrt(one + two)
        freedom = (one + two) ** 2 / (one**2 / (n - 1) + two**2 / (other_n - 1))
        p = 2 * stdtr(freedom, -t)
    return cast(Floats, np.where(np.isfinite(p), p, 1.0))


def rank_p(u: Floats, n: Floats, other: Floats, ties: Floats) -> Floats:
    """p of the Mann-Whitney test by the normal approximation, corrected for continuity and ties, elementwise.

    `u`: how many pairs of values have the first one smaller, a tie counting as half. `ties`: sum of t^3 - t over the
    values that t runs of both samples share. Its tails are too heavy, which is safe. Source: scipy.stats.mannwhitneyu.
    """
    from scipy.special import ndtr

    total = n + other
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n * other / 12 * (total + 1 - ties / (total * (total - 1)))
        z = (np.abs(u - n * other / 2) - 0.5) / np.sqrt(variance)
        p = 2 * ndtr(-np.maximum(z, 0))
    return cast(Floats, np.where(np.isfinite(p), p, 1.0))


def reject_by_holm(p: Floats) -> NDArray[np.bool_]:
    """Which of the hypotheses are rejected at LEVEL together. The smallest p is compared with LEVEL / m, the next with
    LEVEL / (m - 1), and so on until one fails. Source: Holm, A simple sequentially rejective multiple test procedure,
    1979. It keeps the error over all looks, too: the first false rejection is always one at LEVEL over the number of
    true hypotheses, or below.
    """
    order = np.argsort(p, kind="stable")
    passes = p[order] <= LEVEL / (len(p) - np.arange(len(p)))
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.logical_and.accumulate(passes)
    return rejected


@dataclass(frozen=True)
class _Group:
    """Rows ready to be tested: arrays are (rows,)."""

    rows: Sequence[Numbers]
    scale: Scale
    is_log: bool
    n: Floats  # with misses
    mean: Floats  # of the known numbers, on the scale of the test
    variance: Floats  # at least that of the floor


def _prepare(rows: Sequence[Numbers], scale: Scale) -> _Group:
    is_log = scale == "ratio" and all(value > 0 for row in rows for value in row.known)
    known = [[math.log(value) for value in row.known] if is_log else row.known for row in rows]
    step = _smallest_step([value for values in known for value in values]) / 2
    mean = [compute_mean(values) if values else 0.0 for values in known]
    variance = []
    for row, values in zip(rows, known, strict=True):
        floor = accuracy_floor(values, row.images) if scale == "share" else COUNT_DEVIATION if scale == "count" else 0.0
        variance.append(max(compute_deviation(values) if len(values) > 1 else 0.0, floor, step) ** 2)
    counts = [float(len(row.values)) for row in rows]
    return _Group(rows, scale, is_log, np.array(counts), np.array(mean), np.array(variance))


def _smallest_step(values: Sequence[float]) -> float:
    """The smallest difference between two of the values, as of numbers that were rounded; 0 if all are equal. Half of
    it is the least standard deviation that is believed: equal numbers are no evidence that there is no spread.
    """
    steps = np.diff(np.unique(np.array(values, np.float64)))
    steps = steps[steps > 1e-9 * max(map(abs, values), default=0.0)]  # not of the arithmetic
    return float(steps.min()) if len(steps) else 0.0


def _test(group: _Group) -> tuple[Floats, Floats]:
    """(rows, rows): p, and the sign of the column's number minus the row's."""
    n, mean, variance = group.n, group.mean, group.variance
    p = welch_p(n[:, None], mean[:, None], variance[:, None], n[None], mean[None], variance[None])
    sign = np.sign(mean[None] - mean[:, None])
    misses = np.array([row.has_misses for row in group.rows])
    if not misses.any():
        return p, sign
    by_rank = misses[:, None] | misses[None]
    u, ties = _rank_sums(group.rows)
    ranked_sign = np.sign(u - np.outer(n, n) / 2)  # the column's number is the larger one in most pairs
    return (
        np.where(by_rank, rank_p(u, n[:, None], n[None], ties), p),
        np.where(by_rank, ranked_sign, sign),
    )


def _rank_sums(rows: Sequence[Numbers]) -> tuple[Floats, Floats]:
    """(rows, rows): U of each pair, and its ties; a miss is larger than any number."""
    values = [[math.inf if value is None else value for value in row.values] for row in rows]
    distinct = {value: index for index, value in enumerate(sorted({value for row in values for value in row}))}
    counts = np.zeros((len(rows), len(distinct)))
    for index, row in enumerate(values):
        np.add.at(counts[index], [distinct[value] for value in row], 1)
    larger = counts.sum(axis=1, keepdims=True) - np.cumsum(counts, axis=1) + counts / 2
    u = counts @ larger.T
    own = (counts**3 - counts).sum(axis=1)
    mixed = 3 * (counts**2 @ counts.T)
    return u, own[:, None] + own[None] + mixed + mixed.T


def _difference(
    pair: _Group, limit: float
) -> tuple[float | None, tuple[float, float] | None, tuple[float, float] | None]:
    """Candidate minus baseline, its 95 % interval, and the interval at the level of the look."""
    if any(not row.known or row.has_misses for row in pair.rows):
        return None, None, None
    difference = float(pair.mean[1] - pair.mean[0])
    if min(pair.n) < 2:
        return _in_unit(pair, difference), None, None
    from scipy.special import stdtrit

    parts = pair.variance / pair.n
    error = math.sqrt(float(parts.sum()))
    if error == 0:
        return _in_unit(pair, difference), None, None
    freedom = float(parts.sum() ** 2 / (parts**2 / (pair.n - 1)).sum())
    ends: list[tuple[float, float] | None] = []
    for level in (ALPHA, limit):
        half = -float(stdtrit(freedom, level / 2)) * error if level else math.inf
        low, high = _in_unit(pair, difference - half), _in_unit(pair, difference + half)
        ends.append((max(low, -1.0), min(high, 1.0)) if pair.scale == "share" else (low, high))
    return _in_unit(pair, difference), ends[0], ends[1]


def _in_unit(pair: _Group, difference: float) -> float:
    return math.expm1(min(difference, 700.0)) if pair.is_log else difference


def _seeds_needed(pair: _Group, n: tuple[int, int], comparisons: int, max_seeds: int) -> int | None:
    """Further seeds of the recipe that has fewer, until both have as many and a difference as large as the one seen
    would be decided. None if that cannot be told, or would take more than the maximum."""
    if min(n) < 2:
        return None
    sizes = np.arange(max(*n, MIN_SEEDS), max(*n, max_seeds) + 1, dtype=np.float64)
    if any(row.has_misses for row in pair.rows):
        u, ties = _rank_sums(pair.rows)
        grown = (sizes / n[0]) * (sizes / n[1])
        p = rank_p(u[0, 1] * grown, sizes, sizes, ties[0, 1] * (2 * sizes / sum(n)) ** 3)
    else:
        (mean, other), (variance, its) = pair.mean, pair.variance
        p = welch_p(sizes, mean, variance, sizes, other, its)
    enough = sizes[p <= LEVEL / comparisons * weight(sizes, sizes)]
    return int(enough[0]) - min(n) if len(enough) else None
