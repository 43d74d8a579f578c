"""How often verdicts are wrong, how often they find a difference, and after how many seeds, by simulation.

`python -m benchmarks.verdicts` prints the table of docs/board.md (some minutes). Each simulated board is looked at
whenever one of its runs ends, until every row has 20 seeds. The tests are those of app.metrics.verdicts, over thousands
of boards at once; `tests/app/metrics/test_verdicts_simulated.py` asks for the promised rates.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.metrics.statistics import counting_deviation
from app.metrics.verdicts import COUNT_DEVIATION, LEVEL, MAX_SEEDS, Scale, rank_p, weight, welch_p

Floats = NDArray[np.float64]
ORDERS = ("alternating", "random")  # in which the runs of a board end
ROWS = (2, 5, 10, 20)
MISSED = math.inf


@dataclass(frozen=True)
class Kind:
    """What is measured: its name, its scale, how it is drawn, and of an accuracy the number of images."""

    name: str
    scale: Scale
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any]
    images: int = 0
    epochs: float = 0.0  # of times in whole epochs, about how many


NORMAL = Kind("normal", "ratio", lambda draw, shape: draw.normal(size=shape))
KINDS = (
    NORMAL,
    Kind("whole epochs, 8 or 9", "count", lambda draw, shape: draw.integers(8, 10, shape).astype(float)),
    Kind("whole epochs, 12 ± 2", "count", lambda draw, shape: np.round(draw.normal(12, 2, shape))),
    Kind("k of 300, 99 %", "share", lambda draw, shape: draw.binomial(300, 0.99, shape) / 300, 300),
    Kind("k of 300, 90 %", "share", lambda draw, shape: draw.binomial(300, 0.90, shape) / 300, 300),
    Kind("k of 10,000, 94 %", "share", lambda draw, shape: draw.binomial(10_000, 0.94, shape) / 10_000, 10_000),
    Kind("log-normal times", "ratio", lambda draw, shape: draw.normal(0, 0.5, shape)),  # of the logarithm
    Kind(
        "times of 8 or 9 epochs, 0.1 % jitter",
        "ratio",
        lambda draw, shape: np.log(draw.integers(8, 10, shape)) + draw.normal(0, 0.001, shape),
        epochs=8.5,
    ),
    Kind(
        "30 % misses",
        "ratio",
        lambda draw, shape: np.where(draw.random(shape) < 0.3, MISSED, draw.normal(0, 0.3, shape)),
    ),
)


@dataclass
class Boards:
    """Boards on which the runs end one after the other. Arrays begin with (boards, rows)."""

    kind: Kind
    values: Floats  # (boards, rows, seeds) on the scale of the test; MISSED: a miss
    n: Floats = field(init=False)
    known: Floats = field(init=False)  # runs without misses
    total: Floats = field(init=False)  # sum of the known values, and of their squares, around `middle`
    squares: Floats = field(init=False)
    middle: float = field(init=False)
    u: Floats = field(init=False)  # (boards, rows, rows)

    def __post_init__(self) -> None:
        boards, rows, _ = self.values.shape
        self.n, self.known, self.total, self.squares = (np.zeros((boards, rows)) for _ in range(4))
        self.middle = float(self.values[np.isfinite(self.values)].mean())
        self.u = np.zeros((boards, rows, rows))
        self.has_misses = bool(np.isinf(self.values).any())
        self.ended = np.full_like(self.values, np.nan)

    def end_run(self, row: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """One run of `row` (one for each board) ends. Returns (boards, rows): p of that row against each other one,
        divided by its weight; and the number of runs.
        """
        board = np.arange(len(row))
        value = self.values[board, row, self.n[board, row].astype(int)]
        if self.has_misses:
            self._count_pairs(board, row, value)
        self.n[board, row] += 1
        is_known = np.isfinite(value)
        centred = np.where(is_known, value - self.middle, 0.0)
        self.known[board, row] += is_known
        self.total[board, row] += centred
        self.squares[board, row] += centred**2
        mean, variance = self._moments()
        n, its_n = self.n, self.n[board, row][:, None]
        p = welch_p(its_n, mean[board, row][:, None], variance[board, row][:, None], n, mean, variance)
        if self.has_misses:
            missed = n - self.known
            both = missed + missed[board, row][:, None]
            p = np.where(both > 0, rank_p(self.u[board, row], its_n, n, both**3 - both), p)
        share = weight(its_n, n)
        p = np.where(share > 0, p / np.where(share > 0, share, 1), 1.0)
        p[board, row] = 1.0
        return p, n

    def _moments(self) -> tuple[Floats, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self.total / self.known
            variance = np.maximum(self.squares - self.total * mean, 0) / (self.known - 1)
        if self.kind.scale == "count":
            variance = np.maximum(variance, COUNT_DEVIATION**2)
        if self.kind.epochs:
            variance = np.maximum(variance, (COUNT_DEVIATION / self.kind.epochs) ** 2)
        if self.kind.images:
            floor = counting_deviation(mean + self.middle, self.known, self.kind.images)
            variance = np.maximum(variance, floor**2)
        return mean, variance

    def _count_pairs(self, board: NDArray[np.int64], row: NDArray[np.int64], value: Floats) -> None:
        at, x = self.n[board, row].astype(int), value[:, None, None]
        smaller = (x < self.ended).sum(axis=2) + (x == self.ended).sum(axis=2) / 2
        self.u[board, row] += smaller
        self.u[board, :, row] += self.n - smaller
        self.ended[board, row, at] = value


def order_of(order: str, boards: int, rows: int, seeds: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """(boards, looks): the row whose run ends at each look."""
    ends = np.tile(np.arange(rows), (boards, seeds))
    return draw.permuted(ends, axis=1) if order == "random" else ends


def smallest_p(
    kind: Kind, rows: int, order: str, boards: int, seed: int, seeds: int = MAX_SEEDS, shift: float = 0.0
) -> tuple[Floats, Floats]:
    """(boards, rows, rows): the smallest p of each pair over all looks, over its weight; and (boards,): seeds of each
    recipe when rows 0 and 1 were first told apart as a pair (NaN: never). `shift`: of row 0, in the values' unit.
    """
    draw = np.random.default_rng(seed)
    values = kind.draw(draw, (boards, rows, seeds))
    values[:, 0] += shift
    state, board = Boards(kind, values), np.arange(boards)
    smallest, decided = np.ones((boards, rows, rows)), np.full(boards, np.nan)
    for row in order_of(order, boards, rows, seeds, draw).T:
        p, n = state.end_run(row)
        smallest[board, row] = np.minimum(smallest[board, row], p)
        smallest[board, :, row] = smallest[board, row]
        is_new = np.isnan(decided) & (smallest[:, 0, 1] <= LEVEL)
        decided[is_new] = n[is_new, :2].max(axis=1)
    return smallest, decided


def false_differences(kind: Kind, rows: int, order: str, boards: int, seed: int) -> tuple[float, float]:
    """Share of boards of identical recipes on which any pair, and any row beside a pinned baseline, ever differed."""
    smallest, _ = smallest_p(kind, rows, order, boards, seed)
    pairs = rows * (rows - 1) // 2
    any_pair = smallest.reshape(boards, -1).min(axis=1) <= LEVEL / pairs
    any_beside = smallest[:, 0].min(axis=1) <= LEVEL / (rows - 1)
    return float(any_pair.mean()), float(any_beside.mean())


def power(deviations: float, comparisons: int, boards: int, seed: int) -> tuple[float, float]:
    """Two recipes that are `deviations` apart, of a family of `comparisons`: share told apart within 20 seeds, and as a
    pair the mean number of seeds of each (20 where it stayed undecided)."""
    smallest, decided = smallest_p(NORMAL, 2, "alternating", boards, seed, shift=deviations)
    found = float((smallest[:, 0, 1] <= LEVEL / comparisons).mean())
    return found, float(np.where(np.isnan(decided), MAX_SEEDS, decided).mean())


def upper_bound(share: float, n: int) -> float:
    """95 % upper bound of a share, by Clopper and Pearson."""
    from scipy.stats import beta

    count = round(share * n)
    return 1.0 if count == n else float(beta.ppf(0.95, count + 1, n - count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=5000, help="of each line")
    boards = parser.parse_args().boards
    print(
        f"Identical recipes: boards of {boards:,} with any false difference, at any look; the larger of both orders\n"
    )
    print("| numbers | " + " | ".join(f"{rows} rows" for rows in ROWS) + " |\n|---|" + "---|" * len(ROWS))
    for kind in KINDS:
        cells = []
        for rows in ROWS:
            found = [false_differences(kind, rows, order, boards, seed=rows) for order in ORDERS]
            cells.append(f"{max(one[0] for one in found):.1%} / {max(one[1] for one in found):.1%}")
        print(f"| {kind.name} | " + " | ".join(cells) + " |", flush=True)
    print("\nall pairs of rows / all rows beside a pinned baseline\n")
    print("Recipes that differ, normal values, at most 20 seeds: told apart\n")
    print("| family | comparisons | 1 sd | 1.5 sd | 2 sd | seeds at 1.5 sd |\n|---|---|---|---|---|---|")
    families = [("a pair", 1), *((f"{rows} rows, all pairs", rows * (rows - 1) // 2) for rows in ROWS[1:])]
    families += [(f"{rows} rows, pinned baseline", rows - 1) for rows in ROWS[1:]]
    for name, comparisons in families:
        found = [power(deviations, comparisons, boards, seed=1) for deviations in (1.0, 1.5, 2.0)]
        seeds = f"{found[1][1]:.1f}" if comparisons == 1 else "–"
        print(
            f"| {name} | {comparisons} | " + " | ".join(f"{one[0]:.1%}" for one in found) + f" | {seeds} |", flush=True
        )


if __name__ == "__main__":
    main()
