"""Verdicts on recorded numbers: the tests against SciPy and statsmodels, floors, ranks, estimates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from app.metrics.verdicts import (
    LEVEL,
    MAX_SEEDS,
    Numbers,
    Scale,
    Verdict,
    judge,
    rank,
    rank_p,
    reject_by_holm,
    weight,
    welch_p,
)

DRAW = np.random.default_rng(1)
HIGHER: dict[Scale, bool] = {"share": True, "count": False, "ratio": False}


def numbers(*values: float | None, images: int | None = None) -> Numbers:
    return Numbers(tuple(values), images)


def verdict(baseline: Numbers, candidate: Numbers, scale: Scale = "share", **more: Any) -> Verdict:
    return judge(baseline, candidate, scale, is_better_higher=HIGHER[scale], **more)


def around(mean: float, n: int, sd: float = 1.0) -> Numbers:
    """Values with exactly this mean and deviation."""
    values = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return numbers(*(mean + sd * (values - values.mean()) / values.std(ddof=1)).tolist())


@pytest.mark.parametrize("sizes", [(3, 3), (4, 9), (20, 20), (2, 5)])
def test_p_is_that_of_scipys_welch_test(sizes: tuple[int, int]):
    one, other = DRAW.normal(0, 1, sizes[0]), DRAW.normal(1, 3, sizes[1])
    arrays = [np.array([value]) for it in (one, other) for value in (float(len(it)), it.mean(), it.var(ddof=1))]
    assert welch_p(*arrays)[0] == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.integers(0, 6), min_size=4, max_size=24), cut=st.integers(2, 22))
def test_p_is_that_of_scipys_mann_whitney_test_with_ties(values: list[int], cut: int):
    one, other = values[: min(cut, len(values) - 2)], values[min(cut, len(values) - 2) :]
    if len(one) < 2 or len(set(values)) == 1:
        return
    found = stats.mannwhitneyu(one, other, alternative="two-sided", method="asymptotic")
    smaller = sum((a < b) + (a == b) / 2 for a in one for b in other)
    ties = sum(values.count(value) ** 3 - values.count(value) for value in set(values))
    arrays = [np.array([float(it)]) for it in (smaller, len(one), len(other), ties)]
    assert rank_p(*arrays)[0] == pytest.approx(found.pvalue, abs=1e-9)


@settings(deadline=None, max_examples=8)  # statsmodels collects garbage at each call
@given(p=st.lists(st.floats(0, 0.02), min_size=1, max_size=12))
def test_hypotheses_are_rejected_as_by_holm(p: list[float]):
    expected = multipletests(p, alpha=LEVEL, method="holm")[0]
    assert reject_by_holm(np.array(p)).tolist() == [bool(it) for it in expected]


def test_a_clear_difference_is_told_with_its_size_and_its_interval():
    baseline, candidate = around(0.93, 8, 0.001), around(0.95, 8, 0.001)
    found = verdict(baseline, candidate)

    assert (found.outcome, found.n, found.looks_left, found.seeds_needed) == ("better", (8, 8), 24, 0)
    assert found.difference == pytest.approx(0.02)
    its = stats.ttest_ind(candidate.known, baseline.known, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((its.low, its.high), rel=1e-6)
    assert verdict(candidate, baseline).outcome == "worse"


def test_fewer_seconds_and_fewer_epochs_are_better():
    assert verdict(around(12, 6, 0.1), around(10, 6, 0.1), "ratio").outcome == "better"
    assert verdict(around(10, 8, 0.1), around(14, 8, 0.1), "count").outcome == "worse"


def test_the_difference_of_times_is_relative():
    found = verdict(numbers(*[10.0, 10.1, 9.9] * 3), numbers(*[12.0, 12.12, 11.88] * 3), "ratio")
    assert found.difference == pytest.approx(0.2, rel=1e-9)
    assert found.interval is not None and found.interval[0] < 0.2 < found.interval[1]


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize(
    ("baseline", "candidate", "scale"),
    [
        (numbers(9), numbers(8), "count"),
        (numbers(0.99, images=300), numbers(0.95, images=300), "share"),
        (numbers(0.99), numbers(0.98), "share"),
        (numbers(7.0), numbers(6.0), "ratio"),
        (numbers(0.02), numbers(0.03), "ratio"),
    ],
)
def test_ties_are_no_evidence_that_there_is_no_spread(n: int, baseline: Numbers, candidate: Numbers, scale: Scale):
    one, other = (Numbers(it.values * n, it.images) for it in (baseline, candidate))
    assert verdict(one, other, scale).outcome == "undecided"
    assert (
        verdict(Numbers(one.values * 5, one.images), Numbers(other.values * 5, other.images), scale).outcome
        != "undecided"
    )


def test_times_to_a_target_come_in_whole_epochs_however_exact_the_seconds_are():
    """Epoch 8 and epoch 9, 2 s each: like the epochs themselves, three seeds tell nothing."""
    one, other = ((16.0, 16.01, 15.99), (18.0, 18.02, 17.99))
    assert verdict(Numbers(one), Numbers(other), "ratio").outcome == "worse", "if they were any times"
    whole = verdict(Numbers(one, epochs=8), Numbers(other, epochs=9), "ratio")
    assert whole.outcome == "undecided"
    assert verdict(Numbers(one * 5, epochs=8), Numbers(other * 5, epochs=9), "ratio").outcome == "worse"


def test_a_diverged_run_is_worse_than_any_accuracy():
    good, diverging = around(0.9, 12, 0.01), Numbers((*around(0.91, 2, 0.01).values, *[None] * 16))
    assert verdict(good, diverging).outcome == "worse"
    assert verdict(diverging, good).outcome == "better"


def test_equal_numbers_are_never_told_apart_and_never_called_equal():
    for values in ((0.9,) * 20, (0.0,) * 20, (1.0,) * 20, (None,) * 20):
        found = verdict(Numbers(values), Numbers(values), "share" if None not in values else "ratio")
        assert found.outcome == "undecided"


def test_two_seeds_or_none_decide_nothing():
    for one, other in (((), ()), ((0.9,), ()), ((0.9, 0.901), (0.1, 0.101)), ((0.9,) * 9, (0.1, 0.2))):
        assert verdict(Numbers(one), Numbers(other)).outcome == "undecided"


def test_a_miss_is_worse_than_any_time_and_leaves_no_difference():
    quick, slow = around(20, 12, 1), Numbers((*around(30, 6, 1).values, *[None] * 6))
    found = verdict(quick, slow, "ratio")
    assert (found.outcome, found.difference, found.interval) == ("worse", None, None)
    assert verdict(slow, quick, "ratio").outcome == "better"
    assert verdict(Numbers((None,) * 12), quick, "ratio").outcome == "better"


def test_the_more_pairs_are_judged_together_the_more_a_difference_must_be():
    one, other = around(0.93, 6, 0.01), around(0.955, 6, 0.01)
    assert verdict(one, other).outcome == "better"
    assert verdict(one, other, comparisons=190).outcome == "undecided"


def test_equivalent_needs_a_margin_around_the_whole_interval_of_all_looks():
    one, other = around(0.93, 20, 0.001), around(0.9301, 20, 0.001)
    assert verdict(one, other).outcome == "undecided"
    assert verdict(one, other, margin=0.005).outcome == "equivalent"
    narrow = verdict(one, other, margin=0.0008)
    assert narrow.interval is not None and max(map(abs, narrow.interval)) < 0.0008, "of this look alone"
    assert narrow.outcome == "undecided", "the interval of all looks is wider"


def test_the_seeds_needed_are_those_after_which_the_same_difference_is_decided():
    one, other = around(0.0, 5), around(1.4, 5)
    found = verdict(one, other, "count")
    assert found.outcome == "undecided" and found.seeds_needed is not None
    n = 5 + found.seeds_needed
    assert verdict(around(0.0, n), around(1.4, n), "count").outcome != "undecided"
    assert verdict(around(0.0, n - 1), around(1.4, n - 1), "count").outcome == "undecided"
    assert verdict(one, around(0.1, 5), "count").seeds_needed is None, "more than the maximum"


def test_only_the_side_with_fewer_seeds_needs_more():
    many, few = around(0.0, 18), around(1.6, 4)
    found = verdict(many, few, "count")
    assert found.outcome == "undecided" and found.seeds_needed is not None
    assert found.runs_needed() == (0, found.seeds_needed) and found.seeds_needed < 16
    assert verdict(many, around(1.6, 4 + found.seeds_needed), "count").outcome != "undecided"
    assert verdict(around(0, 40), around(0.8, 3), "count").seeds_needed in {None, *range(1, 18)}


def test_looks_are_counted_to_the_stated_maximum():
    assert verdict(around(0, 20), around(0, 20)).looks_left == 0
    assert verdict(around(0, 25), around(0, 7)).looks_left == 13
    assert verdict(around(0, 3), around(0, 4), max_seeds=50).looks_left == 93
    assert verdict(around(0, 2), around(0, 2), max_seeds=2).looks_left == 0


def test_a_look_of_few_seeds_and_one_beyond_the_maximum_use_less_of_the_level():
    n = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 40.0])
    assert weight(n, n).tolist() == pytest.approx([0, 0, 1 / 2, 8 / 9, 18 / 19, 38 / 39 / 16])
    assert weight(np.array([3.0]), np.array([20.0])) == weight(np.array([20.0]), np.array([3.0])) == 1 / 2


def test_ranks_are_intervals_between_the_rows_that_are_better_and_those_that_are_worse():
    rows = [around(mean, 10, 0.01) for mean in (0.95, 0.949, 0.90, 0.80)]
    found = rank(rows, "share", is_better_higher=True)
    assert found.intervals == [(1, 2), (1, 2), (3, 3), (4, 4)]
    assert [found.is_tied(0, index) for index in range(4)] == [True, True, False, False]
    assert found.compare(0, 2) == "worse" and found.compare(3, 0) == "better"


def test_beside_a_baseline_rows_are_judged_by_it_alone_and_what_follows_from_it():
    rows = [around(mean, 10, 0.01) for mean in (0.95, 0.94, 0.90, 0.80)]
    found = rank(rows, "share", is_better_higher=True, baseline=2)
    assert found.intervals == [(1, 2), (1, 2), (3, 3), (4, 4)], "0.95 and 0.94 are not compared with each other"
    assert found.compare(3, 0) == "better", "both sides of the baseline"


def test_a_board_judges_each_pair_as_a_verdict_of_its_family_would():
    rows = [numbers(*DRAW.normal(mean, 1, 9).tolist()) for mean in (0.0, 0.4, 1.9, 3.5)]
    rows[1] = Numbers((*rows[1].values[:-1], None))
    found = rank(
        [Numbers(tuple(v if v is None else v + 50 for v in row.values)) for row in rows],
        "count",
        is_better_higher=False,
    )
    for one in range(4):
        for other in range(4):
            if one != other and verdict(rows[one], rows[other], "count", comparisons=6).outcome != "undecided":
                assert not found.is_tied(one, other)


def test_one_row_or_none_has_nothing_to_be_judged_by():
    assert rank([], "share", is_better_higher=True).intervals == []
    assert rank([numbers(0.9)], "share", is_better_higher=True).intervals == [(1, 1)]
    mixed = [numbers(), numbers(0.9), numbers(*[None] * 5), around(0.9, 9)]
    assert rank(mixed, "ratio", is_better_higher=False).intervals == [(1, 4)] * 4


@settings(deadline=None, max_examples=60)
@given(
    samples=st.lists(
        st.lists(st.one_of(st.none(), st.floats(-1e3, 1e6), st.just(0.5)), max_size=22), min_size=1, max_size=5
    ),
    scale=st.sampled_from(["share", "count", "ratio"]),
)
def test_any_numbers_get_an_answer(samples: list[list[float | None]], scale: Scale):
    rows = [Numbers(tuple(values)) for values in samples]
    found = rank(rows, scale, is_better_higher=False)
    assert all(1 <= low <= high <= len(rows) for low, high in found.intervals)
    one = judge(rows[0], rows[-1], scale, is_better_higher=False, margin=0.1)
    assert one.interval is None or all(math.isfinite(end) for end in one.interval)
    assert one.looks_left >= 0 and (one.seeds_needed is None or 0 <= one.seeds_needed <= MAX_SEEDS)
