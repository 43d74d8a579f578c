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
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from app.metrics.statistics import ALPHA, accuracy_floor, compute_deviation, compute_mean

LEVEL = 0.0065  # of each look: 5 % over all looks, by simulation
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
    """One number for each run of a recipe, None being a miss: worse than any number.

    `images`: of an accuracy, how many validation images it was measured on. `epochs`: of what was used up to an epoch
    (seconds, Wh, money), the mean number of that epoch: it comes in steps of one epoch, however exact the seconds are.
    """

    values: tuple[float | None, ...]
    images: int | None = None
    epochs: float | None = None

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
    # Further seeds of the one that has fewer, the other one catching up, until it is probably decided; None: unknown,
    # or above the maximum.
    seeds_needed: int | None

    def runs_needed(self) -> tuple[int, int] | None:
        """The same as runs of the baseline and of the candidate."""
        if self.seeds_needed is None:
            return None
        size = min(self.n) + self.seeds_needed
        return (max(size - self.n[0], 0), max(size - self.n[1], 0)) if self.seeds_needed else (0, 0)


@dataclass(frozen=True)
class Ranks:
    """What may be said of all rows of a board."""

    is_better: NDArray[np.bool_]  # (rows, rows): whether one row is better than another
    intervals: list[tuple[int, int]]  # the best and the worst rank that each row may have, from 1
    verdicts: list[Verdict]  # of each row beside the baseline, or beside the first row; that row's own is undecided
    comparisons: int  # pairs that were judged together

    def compare(self, baseline: int, candidate: int) -> Outcome:
        return _outcome(self.is_better, baseline, candidate)

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
    test = _test(pair, is_better_higher=is_better_higher)
    is_decided = test.p[0, 1] <= LEVEL / comparisons * weight(pair.n[:1], pair.n[1:])[0]
    is_better = (test.sign[0, 1] > 0) == is_better_higher
    outcome: Outcome = ("better" if is_better else "worse") if is_decided else "undecided"
    found = _beside(pair, test, 0, ["undecided", outcome], comparisons, max_seeds)
    verdict, wide = found.verdicts[1], found.wide[1]
    if margin is not None and outcome == "undecided" and np.isfinite(wide).all() and np.abs(wide).max() <= margin:
        return replace(verdict, outcome="equivalent", seeds_needed=0)
    return verdict


def rank(
    rows: Sequence[Numbers], scale: Scale, *, is_better_higher: bool, baseline: int | None = None, unjudged: int = 0
) -> Ranks:
    """Judge all rows of a board together: every pair of them, or each against the row `baseline` alone. `unjudged`:
    further rows that are not shown, any of which may be better or worse.

    A row that is better than the baseline is also better than those that are worse than it, which costs no further
    test. The ranks that a row may have follow from the rows that are better and those that are worse: with 95 %
    confidence all intervals hold at once (Al Mohamad, Goeman, van Zwet, Simultaneous confidence intervals for ranks,
    2022).
    """
    if not rows:
        return Ranks(np.zeros((0, 0), bool), [], [], 0)
    group = _prepare(rows, scale)
    test = _test(group, is_better_higher=is_better_higher)
    p, sign = test.p, test.sign
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
    best, worst = 1 + is_better.sum(axis=0), len(rows) + unjudged - is_better.sum(axis=1)
    reference = baseline or 0
    outcomes: list[Outcome] = [_outcome(is_better, reference, row) for row in range(len(rows))]
    comparisons = max(len(first), 1)
    return Ranks(
        is_better,
        [(int(low), int(high)) for low, high in zip(best, worst, strict=True)],
        _beside(group, test, reference, outcomes, comparisons, MAX_SEEDS).verdicts,
        comparisons,
    )


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
        floor = _floor(row, values, scale, is_log=is_log)
        variance.append(max(compute_deviation(values) if len(values) > 1 else 0.0, floor, step) ** 2)
    counts = [float(len(row.values)) for row in rows]
    return _Group(rows, scale, is_log, np.array(counts), np.array(mean), np.array(variance))


def _floor(row: Numbers, values: Sequence[float], scale: Scale, *, is_log: bool) -> float:
    """The least standard deviation that the numbers can have by their nature, on the scale of the test."""
    match scale:
        case "share":
            return accuracy_floor(values, row.images)
        case "count":
            return COUNT_DEVIATION
        case "ratio" if row.epochs and values:
            return COUNT_DEVIATION / row.epochs * (1.0 if is_log else abs(compute_mean(values)))
    return 0.0


def _smallest_step(values: Sequence[float]) -> float:
    """The smallest difference between two of the values, as of numbers that were rounded; 0 if all are equal. Half of
    it is the least standard deviation that is believed: equal numbers are no evidence that there is no spread.
    """
    steps = np.diff(np.unique(np.array(values, np.float64)))
    steps = steps[steps > 1e-9 * max(map(abs, values), default=0.0)]  # not of the arithmetic
    return float(steps.min()) if len(steps) else 0.0


@dataclass(frozen=True)
class _Test:
    """Arrays are (rows, rows)."""

    p: Floats
    sign: Floats  # of the column's number minus the row's
    by_rank: NDArray[np.bool_]  # because a run of one of them missed
    u: Floats
    ties: Floats


def _test(group: _Group, *, is_better_higher: bool) -> _Test:
    n, mean, variance = group.n, group.mean, group.variance
    p = welch_p(n[:, None], mean[:, None], variance[:, None], n[None], mean[None], variance[None])
    sign = np.sign(mean[None] - mean[:, None])
    misses = np.array([row.has_misses for row in group.rows])
    by_rank = misses[:, None] | misses[None]
    if not misses.any():
        return _Test(p, sign, by_rank, np.zeros_like(p), np.zeros_like(p))
    u, ties = _rank_sums(group.rows, -math.inf if is_better_higher else math.inf)
    p = np.where(by_rank, rank_p(u, n[:, None], n[None], ties), p)
    is_larger = np.sign(u - np.outer(n, n) / 2)  # whether the column's number is the larger one in most pairs
    return _Test(p, np.where(by_rank, is_larger, sign), by_rank, u, ties)


def _outcome(is_better: NDArray[np.bool_], baseline: int, candidate: int) -> Outcome:
    if is_better[candidate, baseline]:
        return "better"
    return "worse" if is_better[baseline, candidate] else "undecided"


def _rank_sums(rows: Sequence[Numbers], miss: float) -> tuple[Floats, Floats]:
    """(rows, rows): U of each pair, and its ties. `miss`: the number that is worse than any."""
    values = np.array([miss if value is None else value for row in rows for value in row.values])
    owner = np.repeat(np.arange(len(rows)), [len(row.values) for row in rows])
    distinct, index = np.unique(values, return_inverse=True)
    size = len(distinct)
    counts = np.bincount(owner * size + index, minlength=len(rows) * size).reshape(len(rows), size).astype(np.float64)
    larger = counts.sum(axis=1, keepdims=True) - np.cumsum(counts, axis=1) + counts / 2
    own = (counts**3 - counts).sum(axis=1)
    mixed = 3 * (counts**2 @ counts.T)
    return counts @ larger.T, own[:, None] + own[None] + mixed + mixed.T


@dataclass(frozen=True)
class _Beside:
    verdicts: list[Verdict]
    wide: Floats  # (rows, 2): the interval of the difference at the level of all looks; NaN: none


def _beside(
    group: _Group, test: _Test, reference: int, outcomes: Sequence[Outcome], comparisons: int, max_seeds: int
) -> _Beside:
    """The verdicts of all rows beside the reference, whose outcomes are known."""
    from scipy.special import stdtrit

    n, mean = group.n, group.mean
    known = np.array([len(row.known) for row in group.rows])
    has_difference = (known > 0) & (known[reference] > 0) & ~test.by_rank[reference]
    difference = np.where(has_difference, mean - mean[reference], np.nan)
    limit = LEVEL / comparisons * weight(n, n[reference])
    with np.errstate(divide="ignore", invalid="ignore"):
        part = group.variance / n
        error = np.sqrt(part + part[reference])
        squares = part**2 / (n - 1)
        freedom = (part + part[reference]) ** 2 / (squares + squares[reference])
        halves = [-stdtrit(freedom, level / 2) * error for level in (np.full_like(limit, ALPHA), limit)]
        narrow, wide = (
            np.where((error > 0)[:, None], np.stack([difference - half, difference + half], axis=1), np.nan)
            for half in halves
        )
    difference, narrow, wide = (_in_unit(group, values) for values in (difference, narrow, wide))
    if group.scale == "share":
        narrow = np.clip(narrow, -1.0, 1.0)
    narrow[~np.isfinite(narrow).all(axis=1)] = np.nan
    seeds = _seeds_needed(group, test, reference, comparisons, max_seeds)
    verdicts = []
    for row, outcome in enumerate(outcomes):
        pair = (int(n[reference]), int(n[row]))
        ends = narrow[row].tolist()
        verdicts.append(
            Verdict(
                outcome=outcome,
                difference=None if math.isnan(difference[row]) else float(difference[row]),
                interval=None if math.isnan(ends[0]) else (ends[0], ends[1]),
                n=pair,
                looks_left=sum(max(max_seeds - count, 0) for count in pair),
                seeds_needed=seeds[row] if outcome == "undecided" else 0,
            )
        )
    return _Beside(verdicts, wide)


def _in_unit(group: _Group, values: Floats) -> Floats:
    return np.expm1(values) if group.is_log else values


def _seeds_needed(group: _Group, test: _Test, reference: int, comparisons: int, max_seeds: int) -> list[int | None]:
    """For each row: further seeds of the side that has fewer, the other one catching up, until a difference as large as
    the one seen would be decided. None if that cannot be told, or would take more than the maximum.
    """
    n, own = group.n, group.n[reference]
    fewer = np.minimum(n, own)
    grown = np.arange(MIN_SEEDS, max(max_seeds, MIN_SEEDS) + 1, dtype=np.float64)[:, None]  # (sizes, 1)
    sizes, own_sizes = np.maximum(grown, n), np.maximum(grown, own)  # (sizes, rows)
    mean, variance = group.mean[None], group.variance[None]
    p = welch_p(own_sizes, mean[:, [reference]], variance[:, [reference]], sizes, mean, variance)
    if test.by_rank[reference].any():
        with np.errstate(divide="ignore", invalid="ignore"):
            u = test.u[reference] * (own_sizes / own) * (sizes / n)
            ties = test.ties[reference] * ((own_sizes + sizes) / (own + n)) ** 3
        p = np.where(test.by_rank[reference], rank_p(u, own_sizes, sizes, ties), p)
    is_enough = (p <= LEVEL / comparisons * weight(own_sizes, sizes)) & (grown > fewer)
    first = np.where(is_enough.any(axis=0), grown[is_enough.argmax(axis=0), 0], np.nan)
    first[fewer < 2] = np.nan
    return [None if math.isnan(size) else int(size - least) for size, least in zip(first, fewer, strict=True)]
