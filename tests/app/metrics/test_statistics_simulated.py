"""Every printed 95 % interval covers the truth at least 93 times of 100, by simulation, from n = 2 on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.metrics.statistics import compute_accuracy_spread, compute_reach_rate, compute_spread, median_interval

DRAW = np.random.default_rng(0)
TIMES = 4000


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_interval_of_a_mean_covers_it(n: int):
    found = [compute_spread(values) for values in DRAW.normal(10, 2, (TIMES, n)).tolist()]
    assert (
        np.mean([one.low <= 10 <= one.high for one in found if one.low is not None and one.high is not None]) >= 0.935
    )


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize(("images", "share"), [(300, 0.985), (300, 0.995), (300, 0.9), (60, 0.97), (10_000, 0.94)])
def test_the_interval_of_accuracies_of_few_images_covers_the_true_one(n: int, images: int, share: float):
    drawn = DRAW.binomial(images, share, (TIMES, n)) / images
    found = [compute_accuracy_spread(values, images) for values in drawn.tolist()]
    assert (
        np.mean([one.low <= share <= one.high for one in found if one.low is not None and one.high is not None]) >= 0.93
    )


@pytest.mark.parametrize("n", [6, 7, 10, 20])
@pytest.mark.parametrize("missed", [0.0, 0.3])
def test_the_interval_of_a_median_covers_it(n: int, missed: float):
    """Log-normal times; with misses the true median is a higher quantile of the times."""
    times = np.where(DRAW.random((TIMES, n)) < missed, math.inf, DRAW.lognormal(2, 0.8, (TIMES, n)))
    draws = np.where(DRAW.random(10**6) < missed, math.inf, DRAW.lognormal(2, 0.8, 10**6))
    truth = float(np.median(draws))
    covered = 0
    for row in times.tolist():
        interval = median_interval([None if math.isinf(time) else time for time in row])
        covered += interval is None or (interval[0] <= truth and (interval[1] is None or truth <= interval[1]))
    assert covered / TIMES >= 0.93


@pytest.mark.parametrize("n", [1, 2, 5, 20, 100])
def test_the_interval_of_a_share_covers_it_whatever_the_share(n: int):
    known = [compute_reach_rate(count, n) for count in range(n + 1)]
    for share in np.linspace(0.01, 0.99, 25):
        chance = [math.comb(n, count) * share**count * (1 - share) ** (n - count) for count in range(n + 1)]
        covered = sum(p for p, one in zip(chance, known, strict=True) if one.low <= share <= one.high)
        assert covered >= 0.95 - 1e-9
