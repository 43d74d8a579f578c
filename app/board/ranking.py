"""The leaderboard: recipes of one data set, ranked by accuracy, speed, energy or cost.

A row is a recipe on one kind of hardware. A row never mixes hardware, and a board never mixes versions of the data.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.metrics import METRICS, Metric, TargetHit, find_target_hits
from app.board.samples import AccuraciesWithoutTta, Sample, has_finished, load_samples
from app.metrics import accuracy, statistics
from app.records.models import Run, Status
from app.run_list import listing
from app.workers.prices import load_prices

ALL = "all"  # value of `hardware` that shows every kind, side by side


@dataclass(frozen=True)
class BoardQuery:
    """`dataset`, `hardware`, `fingerprint` None: the value that most runs have."""

    dataset: str | None = None
    metric: str = "time_to_target"
    target: float = 0.94  # share
    hardware: str | None = None
    fingerprint: str | None = None
    limit: int = 50


@dataclass(frozen=True)
class RankedRecipe:
    """A row of the board.

    `value` is what it is ranked by: the mean, or for metrics that lead to the target the median, a miss being longer
    than any time. None: not measured, or half of the runs or more never reached the target.
    """

    rank: int | None  # None: not ranked
    run: Run  # the newest included run; the row shows its name, recipe and preset
    sample: Sample
    value: float | None
    spread: statistics.Spread | None  # of the metric, over the runs that have it
    numbers: list[float]  # the metric of each run that has it
    missed: int
    diverged: int  # included runs that diverged: misses of the target, left out of every mean
    unmeasured: int
    reached: statistics.ReachRate
    median_time: float | None  # seconds to the target, misses included
    final: statistics.Spread | None  # last accuracy of the runs that finished
    final_without_tta: float | None  # mean; None: the recipe uses no TTA
    best_without_tta: float | None  # mean of the best accuracies; None: the recipe uses no TTA
    is_tied_with_first: bool  # not significantly different from the first row


@dataclass(frozen=True)
class Board:
    query: BoardQuery  # with the dataset, hardware and fingerprint that were chosen
    rows: list[RankedRecipe]
    hardware: dict[str | None, int]  # runs on each kind, of this fingerprint
    fingerprints: dict[str, int]  # runs on each version of the data
    hidden: int  # rows beyond the limit


@dataclass(frozen=True)
class _Candidate:
    """A sample with its numbers, before it is compared with the others."""

    sample: Sample
    numbers: list[float | None]  # one for each included run that was measured; None: a miss
    unmeasured: int
    hits: list[TargetHit | None]
    value: float | None  # as RankedRecipe.value

    @property
    def reached(self) -> int:
        return sum(hit is not None for hit in self.hits)


def rank_recipes(session: Session, query: BoardQuery) -> Board:
    """Raises KeyError for a metric that is not in METRICS."""
    metric = METRICS[query.metric]
    dataset = query.dataset or _most_used_dataset(session)
    fingerprints: Counter[str] = Counter()
    hardware: Counter[str | None] = Counter()
    counts = samples.count_included_runs(session, dataset)
    for (fingerprint, _), count in counts.items():
        fingerprints[fingerprint] += count
    chosen = query.fingerprint or _most_common(fingerprints)
    for (fingerprint, device), count in counts.items():
        if fingerprint == chosen:
            hardware[device] += count
    device = query.hardware or _most_common(hardware)
    found = load_samples(session, dataset, chosen, None if device == ALL else device)
    candidates = _candidates(found, metric, query.target, load_prices(session))
    candidates.sort(key=lambda candidate: _order(candidate, metric))
    shown = candidates[: query.limit]
    ranked = [candidate.numbers for candidate in shown if candidate.value is not None]  # these come first
    ties = statistics.find_ties_with_first(ranked, "times" if metric.is_to_target else "means")
    ties += [False] * (len(shown) - len(ties))
    newest = [candidate.sample.included[-1].id for candidate in shown]
    runs = {run.id: run for run in listing.load_runs(session, newest)}
    rows = []
    for index, candidate in enumerate(shown):
        run = runs[newest[index]]
        has_tta = accuracy.has_tta(run.recipe)
        without_tta = samples.load_accuracies_without_tta(session, candidate.sample.finished) if has_tta else []
        rank = None if candidate.value is None else index + 1
        rows.append(_ranked_recipe(candidate, run, without_tta, rank=rank, is_tied=ties[index]))
    chosen_query = replace(query, dataset=dataset, hardware=device, fingerprint=chosen)
    return Board(chosen_query, rows, dict(hardware), dict(fingerprints), len(candidates) - len(shown))


def find_unknown_filters(board: Board) -> list[tuple[str, str]]:
    """(field, value) of each requested hardware or fingerprint that no run has."""
    known = {"hardware": {*board.hardware, ALL, None}, "fingerprint": {*board.fingerprints, None}}
    return [
        (field, getattr(board.query, field))
        for field, values in known.items()
        if getattr(board.query, field) not in values
    ]


def _candidates(found: Sequence[Sample], metric: Metric, target: float, prices: dict[str, float]) -> list[_Candidate]:
    found = [sample for sample in found if sample.included]
    hits = iter(find_target_hits([row for sample in found for row in sample.included], target))
    return [_candidate(sample, [next(hits) for _ in sample.included], metric, prices) for sample in found]


def _candidate(sample: Sample, hits: list[TargetHit | None], metric: Metric, prices: dict[str, float]) -> _Candidate:
    numbers: list[float | None] = []
    unmeasured = 0
    for row, hit in zip(sample.included, hits, strict=True):
        price = prices.get(row.worker or "")
        number = metric.compute(row, hit, price)
        if not metric.is_measured(row, price):
            unmeasured += 1
        elif metric.is_to_target or (number is not None and has_finished(row)):
            numbers.append(number)
        elif has_finished(row):
            unmeasured += 1
    value = statistics.median_time(numbers) if metric.is_to_target else _mean(numbers)
    return _Candidate(sample, numbers, unmeasured, hits, value)


def _order(candidate: _Candidate, metric: Metric) -> tuple[float, float, int]:
    """Best first. Candidates without a value come last, those that reached the target more often first."""
    included = candidate.sample.included
    share, earliest = candidate.reached / len(included), included[0].id
    if candidate.value is None:
        return (math.inf, -share, earliest)
    return (-candidate.value if metric.is_better_higher else candidate.value, -share, earliest)


def _ranked_recipe(
    candidate: _Candidate,
    run: Run,
    without_tta: Sequence[AccuraciesWithoutTta],
    *,
    rank: int | None,
    is_tied: bool,
) -> RankedRecipe:
    rows, finished = candidate.sample.included, candidate.sample.finished
    known = [number for number in candidate.numbers if number is not None]
    return RankedRecipe(
        rank=rank,
        run=run,
        sample=candidate.sample,
        value=candidate.value,
        spread=statistics.compute_spread_of_known(known),
        numbers=known,
        missed=len(candidate.numbers) - len(known),
        diverged=len(rows) - len(finished),
        unmeasured=candidate.unmeasured,
        reached=statistics.compute_reach_rate(candidate.reached, len(rows)),
        median_time=statistics.median_time([hit.elapsed if hit else None for hit in candidate.hits]),
        final=statistics.compute_spread_of_known([row.last_val_accuracy for row in finished]),
        final_without_tta=_mean([one.last for one in without_tta]),
        best_without_tta=_mean([one.best for one in without_tta]),
        is_tied_with_first=is_tied,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _most_used_dataset(session: Session) -> str:
    """The data set with the most succeeded runs, or that of the original experiment if there are none."""
    used = select(Run.dataset).where(Run.status == Status.SUCCEEDED).group_by(Run.dataset)
    return session.scalar(used.order_by(func.count().desc(), Run.dataset).limit(1)) or "cifar10"


def _most_common(counts: Counter[Any]) -> Any:
    return counts.most_common(1)[0][0] if counts else None
