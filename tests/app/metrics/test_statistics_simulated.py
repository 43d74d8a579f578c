"""The statistics on thousands of simulated boards: coverage of the intervals, and how often rows are tied."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from app.metrics.statistics import compute_reach_rate, compute_spread, find_ties_with_first

MEAN, SD = 0.94, 0.002  # of final accuracies, as repeats of a good recipe have them

Test = Literal["means", "times"]


def boards(test: Test, runs: int, number: int, *, rows: int = 10, misses: float = 0.0) -> np.ndarray:
    """(board, row) whether the row is tied with the first, where all rows are runs of one recipe and the best comes
    first. `misses`: share of runs that never reach the target.
    """
    drawn = np.random.default_rng(20260301).normal(MEAN, SD, (number, rows, runs))
    found = []
    missing = np.quantile(drawn, 1 - misses) if misses else np.inf
    for board in np.where(drawn > missing, np.inf, drawn):
        by = -board.mean(axis=1) if test == "means" else np.median(board, axis=1)
        ranked = [[None if value == np.inf else value for value in row] for row in board[np.argsort(by)].tolist()]
        found.append(find_ties_with_first(ranked, test))
    return np.array(found)


def test_the_interval_of_the_mean_covers_as_often_as_stated():
    drawn = np.random.default_rng(1).normal(MEAN, SD, (2000, 5))
    found = [compute_spread(values) for values in drawn.tolist()]
    holds = [one.low <= MEAN <= one.high for one in found if one.low is not None and one.high is not None]

    assert len(holds) == 2000
    assert 0.93 <= np.mean(holds) <= 0.97


def test_the_interval_of_a_share_covers_as_often_as_stated():
    generator, holds = np.random.default_rng(2), []
    for n in (5, 10, 20, 50):
        known = [compute_reach_rate(count, n) for count in range(n + 1)]
        for share in (0.1, 0.3, 0.5, 0.8, 0.95):
            counts = generator.binomial(n, share, 500)
            holds.append(np.mean([known[count].low <= share <= known[count].high for count in counts]))

    assert 0.92 <= np.mean(holds) <= 0.98


@pytest.mark.parametrize(("test", "misses"), [("means", 0.0), ("times", 0.0), ("times", 0.2)])
@pytest.mark.parametrize("runs", [3, 5, 8])
def test_ten_rows_of_the_same_recipe_are_all_tied(test: Test, runs: int, misses: float):
    tied = boards(test, runs, 300, misses=misses)

    assert tied[:, 0].all()
    assert tied.all(axis=1).mean() >= 0.95  # whole boards, although the best of ten was selected


@pytest.mark.parametrize("test", ["means", "times"])
def test_recipes_that_differ_are_not_tied(test: Test):
    generator, ties = np.random.default_rng(3), []
    for _ in range(200):
        better, worse, same = generator.normal([[MEAN + 3 * SD], [MEAN], [MEAN + 3 * SD]], SD, (3, 8)).tolist()
        ties.append(find_ties_with_first([better, worse, same], test))

    assert np.mean([not tied[1] for tied in ties]) >= 0.95, "their means are three deviations apart"
    assert np.mean([tied[2] for tied in ties]) >= 0.9
