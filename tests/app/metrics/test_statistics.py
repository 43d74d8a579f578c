"""Spread, reach rate and significance, checked against SciPy and statsmodels on recorded samples."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from app.metrics.statistics import compute_reach_rate, compute_spread, find_ties_with_first, median_time

# Final accuracies and training seconds of repeats of several recipes.
ACCURACIES = [
    (0.9423, 0.9401, 0.9417, 0.9409, 0.9431),
    (0.9398, 0.9412, 0.9405, 0.9419, 0.9390),
    (0.9312, 0.9334, 0.9297, 0.9341, 0.9306),
    (0.9410, 0.9425),
    (0.9402, 0.9418, 0.9411, 0.9396, 0.9420, 0.9408, 0.9399, 0.9414),
]
SECONDS = [
    (71.8, 72.4, 70.9, 73.0, 71.2, 72.1),
    (74.0, 73.6, 75.1, 74.8, None, 73.9),
    (71.5, 72.9, 72.2, 71.0, 70.8, 72.6),
    (None, None, None, 90.2, None, None),
]
samples = st.lists(st.integers(880, 960).map(lambda n: n / 1000), min_size=2, max_size=7)


def differ(samples: list[Any], test: Literal["means", "times"]) -> list[bool]:
    """By SciPy and statsmodels: Holm over all pairs, of which those without the first are never significant."""
    p = []
    for other in samples[1:]:
        if test == "means" or None not in [*samples[0], *other]:
            p.append(stats.ttest_ind(samples[0], other, equal_var=False).pvalue)
        else:
            one, two = ([math.inf if value is None else value for value in sample] for sample in (samples[0], other))
            p.append(stats.mannwhitneyu(one, two, alternative="two-sided").pvalue)
    pairs = p + [1.0] * (len(p) * (len(p) - 1) // 2)
    return [bool(is_other) for is_other in multipletests(pairs, alpha=0.05, method="holm")[0][: len(p)]]


@pytest.mark.parametrize("values", [*ACCURACIES, (0.1, 0.9), (3.0, 3.0, 3.5), (1e-9, 2e-9, 4e-9), (1e9, 1e9 + 1)])
def test_spread_equals_scipy_and_statsmodels(values: tuple[float, ...]):
    found, n = compute_spread(values), len(values)

    assert (found.n, found.smallest, found.largest) == (n, min(values), max(values))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.median == pytest.approx(np.median(values), rel=1e-12)
    assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    interval = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(interval, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(DescrStatsW(values).tconfint_mean(alpha=0.05), rel=1e-9)


def test_one_value_has_no_spread_and_equal_values_a_spread_of_zero():
    alone = compute_spread([0.94])
    assert (alone.n, alone.mean, alone.median, alone.smallest, alone.largest) == (1, 0.94, 0.94, 0.94, 0.94)
    assert (alone.sd, alone.low, alone.high) == (None, None, None)

    same = compute_spread([0.5, 0.5, 0.5, 0.5])
    assert (same.sd, same.low, same.high) == (0.0, 0.5, 0.5)


def test_no_values_raise_an_error():
    with pytest.raises(ValueError, match="no values"):
        compute_spread([])


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 5), (3, 5), (5, 5), (33, 50), (6, 7), (1999, 2000)])
def test_a_reach_rate_has_wilsons_interval_and_jeffreys_probability(count: int, n: int):
    found = compute_reach_rate(count, n)

    assert (found.count, found.n) == (count, n)
    wilson = proportion_confint(count, n, alpha=0.05, method="wilson")
    assert (found.low, found.high) == pytest.approx(wilson, abs=1e-12)
    assert found.next_probability == pytest.approx(stats.beta.mean(count + 0.5, n - count + 0.5), rel=1e-12)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 5), (6, 5), (1, 0), (0, -1)])
def test_a_reach_rate_of_nothing_or_above_one_is_an_error(count: int, n: int):
    with pytest.raises(ValueError, match=f"{count} of {n}"):
        compute_reach_rate(count, n)


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([], None),
        ([None], None),
        ([None, None, None], None),
        ([7.0], 7.0),
        ([7.0, 3.0], 5.0),
        ([7.0, None], None),  # half of them missed
        ([9.0, 7.0, None], 9.0),
        ([None, 7.0, None], None),
        ([4.0, None, 2.0, 3.0], 3.5),
        ([None, 4.0, None, 2.0], None),
        ([None, 4.0, None, 2.0, 3.0], 4.0),
        ([0.0, 0.0], 0.0),
    ],
)
def test_in_a_median_a_miss_is_longer_than_any_time(times: list[float | None], median: float | None):
    assert median_time(times) == median
    assert median_time(times[::-1]) == median


@given(times=st.lists(st.floats(0, 1e6), min_size=1, max_size=9), misses=st.integers(0, 9))
def test_a_median_stays_the_same_whatever_the_longest_time_is(times: list[float], misses: int):
    usual = float(np.median([*times, *[1e9] * misses]))
    assert median_time([*times, *[None] * misses]) == (pytest.approx(usual) if misses < len(times) else None)


def test_rows_differ_by_welch_and_holm():
    assert differ(ACCURACIES, "means") == [False, True, False, False]
    assert find_ties_with_first(ACCURACIES, "means") == [True, True, False, True, True]


def test_rows_with_misses_differ_by_mann_whitney_and_holm():
    assert differ(SECONDS, "times") == [True, False, True]
    assert find_ties_with_first(SECONDS, "times") == [True, False, True, False]


@settings(max_examples=8, deadline=None)  # statsmodels collects garbage at each call
@given(first=samples, others=st.lists(samples, min_size=1, max_size=6))
def test_any_rows_differ_as_by_statsmodels(first: list[float], others: list[list[float]]):
    everything: list[list[float | None]] = [
        [value if value > 0.9 else None for value in one] for one in (first, *others)
    ]
    everything = [sample for sample in everything if len(set(sample)) > 1]
    if len(everything) > 1:
        assert find_ties_with_first(everything, "times")[1:] == [not it for it in differ(everything, "times")]
    spreading = [sample for sample in (first, *others) if len(set(sample)) > 1]
    if len(spreading) > 1:
        assert find_ties_with_first(spreading, "means")[1:] == [not it for it in differ(spreading, "means")]


def test_holm_goes_on_only_while_each_is_small_enough():
    def beside(distance: float) -> list[float]:
        return [value + distance for value in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)]

    rows = [beside(distance) for distance in (0.0, 3.4, 3.4, 3.4)]
    p = stats.ttest_ind(rows[0], rows[1], equal_var=False).pvalue
    assert 0.05 / 6 < p < 0.05 / 4
    assert find_ties_with_first(rows[:2], "means") == [True, False], "alone it differs"
    assert find_ties_with_first(rows, "means") == [True] * 4, "one of six pairs must be below 0.05 / 6"
    assert find_ties_with_first([*rows[:2], beside(90.0), beside(80.0)], "means") == [True, False, False, False]


def test_samples_of_fewer_than_two_are_tied_with_any():
    for test in ("means", "times"):
        assert find_ties_with_first([], test) == []
        assert find_ties_with_first([(0.9,)], test) == [True]
        assert find_ties_with_first([(0.9, 0.91, 0.92), (0.1,), ()], test) == [True, True, True]
        assert find_ties_with_first([(0.9,), (0.1, 0.11, 0.12)], test) == [True, True]
    assert find_ties_with_first([(0.9, 0.91, 0.92), (0.1, None, None)], "means") == [True, True], "misses are left out"


def test_rows_without_any_spread_differ_where_their_value_does():
    assert find_ties_with_first([(0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.25, 0.25)], "means") == [True, True, False]
    assert find_ties_with_first([(0.94,) * 3, (0.94,) * 7, (0.93,) * 20], "means") == [True, True, False], (
        "whatever the rounding"
    )
    assert find_ties_with_first([(8.0,) * 9, (8.0,) * 9, (9.0,) * 9], "times") == [True, True, False]


def test_rows_of_misses_are_tied_with_each_other_and_not_with_rows_that_reached_the_target():
    misses, reaches = (None,) * 6, (70.0, 71.0, 72.0, 73.0, 74.0, 75.0)

    assert find_ties_with_first([misses, misses], "times") == [True, True]
    assert find_ties_with_first([reaches, misses], "times") == [True, False]
