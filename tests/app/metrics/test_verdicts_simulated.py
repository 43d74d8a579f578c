"""The promise of the board by simulation: one looks whenever a run ends, and on at most 5 of 100 boards of identical
recipes any row ever differs. `make test-thorough` asks it of 5,000 boards a case, `make test` of fewer.
"""

from __future__ import annotations

import numpy as np
import pytest

from app.metrics.verdicts import LEVEL, Numbers, judge, rank
from benchmarks.verdicts import KINDS, NORMAL, ORDERS, ROWS, Kind, false_differences, power, smallest_p, upper_bound

thorough = pytest.mark.thorough
FULL, SHORT = 5000, 600
MAX_FALSE = 0.055  # upper 95 % bound
names = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@thorough
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rows", ROWS)
@names
def test_identical_recipes_hardly_ever_differ(kind: Kind, rows: int, order: str):
    for share in false_differences(kind, rows, order, FULL, seed=rows):
        assert upper_bound(share, FULL) <= MAX_FALSE


@names
def test_identical_recipes_hardly_ever_differ_on_a_few_hundred_boards(kind: Kind):
    for share in false_differences(kind, 5, "random", SHORT, seed=3):
        assert share <= 0.07  # at a true 5 %, once in 80 tries; the seed is fixed


@pytest.mark.parametrize("boards", [pytest.param(FULL, marks=thorough), SHORT])
def test_recipes_that_differ_are_told_apart(boards: int):
    pair, seeds = power(1.5, 1, boards, seed=1)
    assert pair >= 0.95 and seeds <= 10
    assert power(1.0, 1, boards, seed=2)[0] >= 0.65
    for rows, least, clear in ((5, 0.82, 0.97), (10, 0.68, 0.95), (20, 0.55, 0.90)):
        assert power(1.5, rows * (rows - 1) // 2, boards, seed=1)[0] >= least
        assert power(2.0, rows * (rows - 1) // 2, boards, seed=1)[0] >= clear
    for rows, least in ((5, 0.90), (10, 0.85), (20, 0.80)):
        assert power(1.5, rows - 1, boards, seed=1)[0] >= least


@pytest.mark.parametrize("boards", [pytest.param(2000, marks=thorough), 60])
def test_half_a_deviation_is_hardly_ever_called_equivalent_within_a_quarter(boards: int):
    draw, wrong = np.random.default_rng(4), 0
    for _ in range(boards):
        one, other = draw.normal(5, 1, 20), draw.normal(5.5, 1, 20)
        for n in range(3, 21):
            found = judge(
                Numbers(tuple(one[:n])), Numbers(tuple(other[:n])), "count", is_better_higher=True, margin=0.25
            )
            if found.outcome != "undecided":
                wrong += found.outcome == "equivalent"
                break
    assert upper_bound(wrong / boards, boards) <= 0.05


@thorough
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("rows", "boards"), [(2, 5000), (10, 3000)])
def test_looks_beyond_the_maximum_hardly_add_to_it(rows: int, boards: int, order: str):
    smallest, _ = smallest_p(NORMAL, rows, order, boards, seed=5, seeds=100)
    share = float((smallest.reshape(boards, -1).min(axis=1) <= LEVEL / (rows * (rows - 1) // 2)).mean())
    assert upper_bound(share, boards) <= 0.06


@names
def test_the_simulated_boards_are_judged_as_the_app_judges_them(kind: Kind):
    """The simulation computes its p for all boards at once: at the last look of each board they are those of `rank`."""
    rows, boards, seeds = 4, 40, 8
    values = kind.draw(np.random.default_rng(6), (boards, rows, seeds))
    values[:, 0] += 1.5 * np.nanstd(np.where(np.isfinite(values), values, np.nan))
    if kind.images:
        values = np.minimum(values, 1.0)

    drawn = Kind(kind.name, kind.scale, lambda draw, shape: values.copy(), kind.images)
    smallest, _ = smallest_p(drawn, rows, "alternating", boards, 6, seeds)
    number = np.exp if kind.scale == "ratio" else float  # the simulation draws logarithms
    agreed = 0
    for board in range(boards):
        told = set()
        for ended in range(2 * rows, rows * seeds + 1):
            n = [ended // rows + (row < ended % rows) for row in range(rows)]
            shown = [
                Numbers(
                    tuple(number(v) if np.isfinite(v) else None for v in values[board, row, : n[row]]),
                    kind.images or None,
                )
                for row in range(rows)
            ]
            found = rank(shown, kind.scale, is_better_higher=False)
            told |= {(i, j) for i in range(rows) for j in range(i) if not found.is_tied(i, j)}
        wanted = {(i, j) for i in range(rows) for j in range(i) if smallest[board, i, j] <= LEVEL / 6}
        assert wanted <= told, "Holm tells more apart, never fewer"
        agreed += wanted == told
    assert agreed >= 0.7 * boards
