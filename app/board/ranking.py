"""The leaderboard: recipes of one data set, ranked by accuracy, speed, energy or cost.

A row is a recipe on one kind of hardware. A row never mixes hardware, and a board never mixes versions of the data.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import fmean
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.baselines import find_baseline
from app.board.metrics import METRICS, Interval, Measurements, Metric, TargetHit, find_target_hits, measure
from app.board.samples import AccuraciesWithoutTta, Sample, load_samples
from app.metrics import accuracy, statistics, verdicts
from app.metrics.verdicts import Verdict
from app.records.models import Run, Status
from app.run_list import listing
from app.workers.prices import load_prices

ALL = "all"  # value of `hardware` that shows every kind, side by side
DEFAULT_TARGET = 0.94  # of a data set without runs


@dataclass(frozen=True)
class BoardQuery:
    """`dataset`, `hardware`, `fingerprint`, `target` None: the value that most runs have. `tag`, `since`: only runs
    with that tag, that ended later.
    """

    dataset: str | None = None
    metric: str = "time_to_target"
    target: float | None = None  # share
    hardware: str | None = None
    fingerprint: str | None = None
    limit: int = 50
    tag: str | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class RankedRecipe:
    """A row of the board. `value` is what it is ranked by: the mean, or for metrics to the target the median, a miss
    being longer than any time. None: not measured, or half of the runs or more never reached the target.
    """

    rank: int | None  # None: not ranked
    ranks: tuple[int, int] | None  # that it may have, at 95 % for all rows together; None: not ranked or not judged
    run: Run  # the newest included run; the row shows its name, recipe and preset
    sample: Sample
    value: float | None
    interval: Interval | None  # 95 % of `value`
    spread: statistics.Spread | None  # of the metric, over the runs that have it
    numbers: list[float]  # the metric of each run that has it
    missed: int  # included runs that never reached the target
    diverged: int  # included runs that diverged: misses of the target, left out of every mean
    unmeasured: int
    reached: statistics.ReachRate
    median_time: float | None  # seconds to the target, misses included
    final: statistics.Spread | None  # last accuracy of the runs that finished
    final_without_tta: float | None  # mean; None: the recipe uses no TTA
    best_without_tta: float | None  # mean of the best accuracies; None: the recipe uses no TTA
    is_tied_with_first: bool  # not significantly different from the first row
    verdict: Verdict | None  # beside the row `Board.reference`; None for that row, or if not judged
    seconds_needed: float | None  # training time of the seeds that the verdict needs, of both recipes


@dataclass(frozen=True)
class Board:
    query: BoardQuery  # with the dataset, target, hardware and fingerprint that were chosen
    metric: Metric  # that it is ranked by: the requested one, or the final accuracy if no row has that
    rows: list[RankedRecipe]
    hardware: dict[str | None, int]  # runs on each kind, of this fingerprint
    fingerprints: dict[str, int]  # runs on each version of the data
    hidden: int  # rows beyond the limit
    baseline: str | None  # pinned recipe hash, if its row is the reference
    reference: int | None  # row that verdicts compare with: the baseline, or else the first; None: not judged
    comparisons: int  # pairs that are judged together

    @property
    def target(self) -> float:
        return self.query.target or DEFAULT_TARGET

    @property
    def notice(self) -> str | None:
        """Why it is not ranked by the requested metric."""
        requested = METRICS[self.query.metric]
        if not self.rows or requested is self.metric:
            return None
        if requested.name in {"energy", "cost"} and any(row.reached.count * 2 > row.reached.n for row in self.rows):
            return f"{requested.title} was not measured: ranked by final accuracy instead."
        share = f"{100 * self.target:.2f} %"
        return f"No recipe reached {share} in more than half of its runs: ranked by final accuracy instead."


@dataclass(frozen=True)
class _Candidate:
    """A sample with its numbers, before it is compared with the others."""

    sample: Sample
    hits: list[TargetHit | None]
    measured: Measurements
    value: float | None

    @property
    def reached(self) -> int:
        return sum(hit is not None for hit in self.hits)

    @property
    def mean_seconds(self) -> float:
        return fmean(row.elapsed_seconds for row in self.sample.included)


def rank_recipes(session: Session, query: BoardQuery) -> Board:
    """Raises KeyError for a metric that is not in METRICS."""
    requested = METRICS[query.metric]
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
    found = load_samples(session, dataset, chosen, None if device == ALL else device, _filters(query))
    found = [sample for sample in found if sample.included]
    target = query.target or _most_common_target(found)
    hits = find_target_hits([row for sample in found for row in sample.included], target)
    prices = load_prices(session)
    candidates = _candidates(found, hits, requested, prices)
    metric = requested
    if candidates and all(candidate.value is None for candidate in candidates):
        metric = METRICS["accuracy"]
        candidates = _candidates(found, hits, metric, prices)
    candidates.sort(key=lambda candidate: _order(candidate, metric))
    pinned = find_baseline(session, dataset)
    numbered = list(enumerate(candidates, 1))
    shown = numbered[: query.limit]
    if pinned and all(candidate.sample.recipe_hash != pinned for _, candidate in shown):
        shown += [one for one in numbered[query.limit :] if one[1].sample.recipe_hash == pinned]
    hidden = sum(candidate.value is not None for candidate in candidates) - sum(
        candidate.value is not None for _, candidate in shown
    )
    rows, reference, comparisons = _ranked(session, shown, metric, pinned, hidden=hidden, is_judged=device != ALL)
    return Board(
        query=replace(query, dataset=dataset, target=target, hardware=device, fingerprint=chosen),
        metric=metric,
        rows=rows,
        hardware=dict(hardware),
        fingerprints=dict(fingerprints),
        hidden=len(candidates) - len(shown),
        baseline=pinned if reference is not None and rows[reference].run.recipe_hash == pinned else None,
        reference=reference,
        comparisons=comparisons,
    )


def find_unknown_filters(board: Board) -> list[tuple[str, str]]:
    """(field, value) of each requested hardware or fingerprint that no run has."""
    known = {"hardware": {*board.hardware, ALL, None}, "fingerprint": {*board.fingerprints, None}}
    return [
        (field, getattr(board.query, field))
        for field, values in known.items()
        if getattr(board.query, field) not in values
    ]


def _filters(query: BoardQuery) -> list[ColumnElement[bool]]:
    tag = [] if query.tag is None else [listing.has_tag(query.tag)]
    return tag + ([] if query.since is None else [Run.ended_at > query.since])


def _candidates(
    found: Sequence[Sample], hits: Sequence[TargetHit | None], metric: Metric, prices: dict[str, float]
) -> list[_Candidate]:
    candidates, start = [], 0
    for sample in found:
        own = list(hits[start : start + len(sample.included)])
        start += len(own)
        measured = measure(sample.included, own, metric, prices)
        candidates.append(_Candidate(sample, own, measured, measured.compute_value(metric)))
    return candidates


def _order(candidate: _Candidate, metric: Metric) -> tuple[float, float, int]:
    """Best first. Candidates without a value come last, those that reached the target more often first."""
    included, value = candidate.sample.included, candidate.value
    share, earliest = candidate.reached / len(included), included[0].id
    if value is None:
        return (math.inf, -share, earliest)
    return (-value if metric.is_better_higher else value, -share, earliest)


def _ranked(
    session: Session,
    shown: Sequence[tuple[int, _Candidate]],
    metric: Metric,
    pinned: str | None,
    *,
    hidden: int,
    is_judged: bool,
) -> tuple[list[RankedRecipe], int | None, int]:
    """The rows, the one that they are compared with, and how many pairs are judged together."""
    newest = [candidate.sample.included[-1].id for _, candidate in shown]
    runs = {run.id: run for run in listing.load_runs(session, newest)}
    ranked = [candidate for _, candidate in shown if candidate.value is not None]  # these come first
    images = [validated_on(runs[run_id].recipe) for run_id in newest[: len(ranked)]]
    hashes = [candidate.sample.recipe_hash for candidate in ranked]
    reference = hashes.index(pinned) if pinned in hashes else 0
    # Rows that were validated on other images cannot be compared with the reference.
    judged = [index for index in range(len(ranked)) if images[index] == images[reference]] if is_judged else []
    found = verdicts.rank(
        [ranked[index].measured.numbers for index in judged],
        metric.scale,
        is_better_higher=metric.is_better_higher,
        baseline=judged.index(reference) if judged and pinned in hashes else None,
        unjudged=hidden,
    )
    rows = []
    for index, (number, candidate) in enumerate(shown):
        run = runs[newest[index]]
        has_tta = accuracy.has_tta(run.recipe)
        without_tta = samples.load_accuracies_without_tta(session, candidate.sample.finished) if has_tta else []
        row = _row(candidate, run, without_tta, metric)
        if index < len(ranked):
            row = replace(row, rank=number)
        if index in judged:
            at, first = judged.index(index), judged.index(judged[0])
            row = replace(row, ranks=found.intervals[at], is_tied_with_first=found.is_tied(first, at))
            if index != reference:
                verdict = found.verdicts[at]
                seconds = _seconds_needed(verdict, ranked[reference], candidate)
                row = replace(row, verdict=verdict, seconds_needed=seconds)
        rows.append(row)
    return rows, reference if judged else None, found.comparisons


def validated_on(recipe: dict[str, Any]) -> tuple[Any, Any]:
    """What decides which images of the data set a recipe is validated on."""
    return recipe["dataset"].get("val_from_train"), recipe["dataset"].get("val_limit")


def _seconds_needed(verdict: Verdict, reference: _Candidate, candidate: _Candidate) -> float | None:
    """Training time of the runs that are needed, of both recipes."""
    if not verdict.seeds_needed or not (runs := verdict.runs_needed()):
        return None
    return runs[0] * reference.mean_seconds + runs[1] * candidate.mean_seconds


def _row(candidate: _Candidate, run: Run, without_tta: Sequence[AccuraciesWithoutTta], metric: Metric) -> RankedRecipe:
    """Not ranked yet."""
    rows, finished = candidate.sample.included, candidate.sample.finished
    numbers, known = candidate.measured.numbers.values, list(candidate.measured.numbers.known)
    spread, interval = candidate.measured.compute_spread(metric)
    final = [row.last_val_accuracy for row in finished if row.last_val_accuracy is not None]
    return RankedRecipe(
        rank=None,
        ranks=None,
        run=run,
        sample=candidate.sample,
        value=candidate.value,
        interval=interval,
        spread=spread,
        numbers=known,
        missed=len(numbers) - len(known) if metric.is_to_target else len(rows) - candidate.reached,
        diverged=len(rows) - len(finished),
        unmeasured=candidate.measured.unmeasured,
        reached=statistics.compute_reach_rate(candidate.reached, len(rows)),
        median_time=statistics.median_time([hit.elapsed if hit else None for hit in candidate.hits]),
        final=statistics.compute_accuracy_spread(final, candidate.measured.images) if final else None,
        final_without_tta=_mean([one.last for one in without_tta]),
        best_without_tta=_mean([one.best for one in without_tta]),
        is_tied_with_first=False,
        verdict=None,
        seconds_needed=None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.compute_mean(known) if known else None


def _most_common_target(found: Sequence[Sample]) -> float:
    targets: Counter[float] = Counter()
    for sample in found:
        targets += sample.targets
    return float(_most_common(targets) or DEFAULT_TARGET)


def _most_used_dataset(session: Session) -> str:
    """The data set with the most succeeded runs, or that of the original experiment if there are none."""
    used = select(Run.dataset).where(Run.status == Status.SUCCEEDED).group_by(Run.dataset)
    return session.scalar(used.order_by(func.count().desc(), Run.dataset).limit(1)) or "cifar10"


def _most_common(counts: Counter[Any]) -> Any:
    return counts.most_common(1)[0][0] if counts else None
