"""Spread, reach rate and median, checked against SciPy and statsmodels on recorded samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from app.metrics.statistics import (
    compute_accuracy_spread,
    compute_reach_rate,
    compute_spread,
    compute_time_spread,
    median_interval,
    median_time,
)

# Final accuracies of repeats of several recipes.
ACCURACIES = [
    (0.9423, 0.9401, 0.9417, 0.9409, 0.9431),
    (0.9398, 0.9412, 0.9405, 0.9419, 0.9390),
    (0.9312, 0.9334, 0.9297, 0.9341, 0.9306),
    (0.9410, 0.9425),
    (0.9402, 0.9418, 0.9411, 0.9396, 0.9420, 0.9408, 0.9399, 0.9414),
]


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
def test_a_reach_rate_has_the_exact_interval_and_jeffreys_probability(count: int, n: int):
    found = compute_reach_rate(count, n)

    assert (found.count, found.n) == (count, n)
    exact = proportion_confint(count, n, alpha=0.05, method="beta")
    assert (found.low, found.high) == pytest.approx(np.nan_to_num(exact, nan=float(count == n)), abs=1e-9)
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


def test_equal_values_have_no_spread_at_all_and_their_own_mean():
    for value in (0.1, 1 / 3, 0.94, 1e-9, 12.7):
        for n in (2, 3, 7, 20):
            found = compute_spread([value] * n)
            assert (found.mean, found.sd, found.low, found.high) == (value, 0.0, value, value)


@pytest.mark.parametrize("images", [110, 300, 10_000])
def test_the_interval_of_equal_accuracies_is_as_wide_as_their_images_allow(images: int):
    found = compute_accuracy_spread([0.9, 0.9], images)

    assert found.sd == 0.0
    assert found.low is not None and found.high is not None
    half = stats.t.ppf(0.975, 1) * math.sqrt(0.09 / images) / math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((max(0.9 - half, 0), min(0.9 + half, 1)), abs=5e-3)


def test_the_interval_of_accuracies_ends_within_0_and_1():
    for values in ([1.0, 1.0, 1.0], [0.999, 0.4], [0.0, 0.0], [0.01, 0.6]):
        for images in (None, 30):
            found = compute_accuracy_spread(values, images)
            assert found.low is not None and found.high is not None
            assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    certain = compute_accuracy_spread([1.0, 1.0, 1.0], 300)
    assert certain.low is not None and certain.low < 1 - 1 / 3000, "300 right images do not make 100 % certain"


@pytest.mark.parametrize(("n", "rank"), [(5, 0), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (50, 18)])
def test_the_interval_of_a_median_has_the_published_ranks(n: int, rank: int):
    """The ranks of table 25 in Conover, Practical Nonparametric Statistics."""
    times = [float(number) for number in range(1, n + 1)]
    assert median_interval(times[::-1]) == ((times[rank - 1], times[-rank]) if rank else None)


def test_the_interval_of_a_median_is_open_where_its_end_missed_the_target():
    assert median_interval([3.0, 4.0, 5.0, 6.0, 7.0, None]) == (3.0, None)
    assert median_interval([3.0, 4.0, *[None] * 7]) == (4.0, None)
    assert median_interval([None] * 9) is None
    assert compute_time_spread([3.0, 4.0, 5.0]).low is None
    assert compute_time_spread([3.0, 4.0, 5.0, 6.0, 7.0, 9.0]).high == 9.0
