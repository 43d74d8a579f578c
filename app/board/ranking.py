"""The board: recipes of one data set, ranked by what they reached, how fast, how surely, at what cost.

A row is a recipe on one kind of hardware. Hardware is never mixed inside a row, and pictures never inside a board.
Reads only; the formulas are statistics.py's. Must not know HTTP or HTML.
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
from app.board.metrics import METRICS, Metric, Reach, reaches
from app.board.samples import Plain, Sample, has_finished, load_samples
from app.metrics import accuracy, statistics
from app.records.models import Run, Status, Worker
from app.run_list import listing

ALL = "all"  # hardware: side by side, marked


@dataclass(frozen=True)
class BoardQuery:
    """What somebody wants ranked. `dataset`, `hardware`, `fingerprint` None: what most runs have."""

    dataset: str | None = None
    metric: str = "time_to_target"
    target: float = 0.94  # share
    hardware: str | None = None
    fingerprint: str | None = None
    limit: int = 50


@dataclass(frozen=True)
class Ranked:
    """One row. `value` is what it is ranked by: the mean, or for ways to the target the median with misses counted;
    None: nobody measured it, or half of the runs or more never reached the target.
    """

    rank: int | None  # None: not ranked
    run: Run  # the newest that counts: its recipe, name and preset stand for the row
    sample: Sample
    value: float | None
    spread: statistics.Spread | None  # of the metric over the runs that have it
    numbers: list[float]  # the metric of each run that has it
    missed: int
    diverged: int  # runs that count: misses of the target, and in no mean
    unmeasured: int
    reached: statistics.Reached
    median_time: float | None  # seconds to the target, misses counted
    final: statistics.Spread | None  # accuracy at the end, of the runs that finished
    plain_final: float | None  # the same without TTA, its mean; None: the recipe has none, the other is plain
    plain_best: float | None  # likewise of the best accuracies
    is_like_first: bool


@dataclass(frozen=True)
class Board:
    question: BoardQuery  # with hardware and fingerprint as they were chosen
    rows: list[Ranked]
    hardware: dict[str | None, int]  # runs on each kind that has some of these pictures
    fingerprints: dict[str, int]  # runs on each version of the pictures
    left: int  # rows beyond the limit


@dataclass(frozen=True)
class _Line:
    """A sample and its numbers, before anybody looks at the others."""

    sample: Sample
    numbers: list[float | None]  # one for each counted run that was measured; None: a miss
    unmeasured: int
    reaches: list[Reach | None]
    value: float | None  # as Ranked.value

    @property
    def reached(self) -> int:
        return sum(reach is not None for reach in self.reaches)


def ranked(session: Session, question: BoardQuery) -> Board:
    """The board. Raises KeyError for a metric that is not in METRICS."""
    metric = METRICS[question.metric]
    dataset = question.dataset or _most_used(session)
    fingerprints: Counter[str] = Counter()
    hardware: Counter[str | None] = Counter()
    kinds = samples.kinds(session, dataset)
    for (pictures, _), number in kinds.items():
        fingerprints[pictures] += number
    chosen = question.fingerprint or _most(fingerprints)
    for (pictures, device), number in kinds.items():
        if pictures == chosen:
            hardware[device] += number
    on = question.hardware or _most(hardware)
    found = load_samples(session, dataset, chosen, None if on == ALL else on)
    lines = _lines(found, metric, question.target, prices_of(session))
    lines.sort(key=lambda line: _order(line, metric))
    shown = lines[: question.limit]
    valued = [line.numbers for line in shown if line.value is not None]  # these come first
    like = statistics.like_the_first(valued, "times" if metric.reaches else "means")
    like += [False] * (len(shown) - len(like))
    newest = [line.sample.counted[-1].id for line in shown]
    runs = {run.id: run for run in listing.load_runs(session, newest)}
    made = []
    for at, line in enumerate(shown):
        run = runs[newest[at]]
        plain = samples.plain(session, line.sample.finished) if accuracy.has_tta(run.recipe) else []
        made.append(_ranked(line, run, plain, rank=None if line.value is None else at + 1, is_like=like[at]))
    asked = replace(question, dataset=dataset, hardware=on, fingerprint=chosen)
    return Board(asked, made, dict(hardware), dict(fingerprints), len(lines) - len(shown))


def unknown(found: Board) -> list[tuple[str, str]]:
    """(field, value) of what was asked for and no run has."""
    asked = found.question
    known = {"hardware": {*found.hardware, ALL, None}, "fingerprint": {*found.fingerprints, None}}
    return [(field, getattr(asked, field)) for field, values in known.items() if getattr(asked, field) not in values]


def prices_of(session: Session) -> dict[str, float]:
    """Per hour, of the workers that have one."""
    priced = select(Worker.name, Worker.price_per_hour).where(Worker.price_per_hour.is_not(None))
    return {name: price for name, price in session.execute(priced) if price is not None}


def _lines(found: Sequence[Sample], metric: Metric, target: float, prices: dict[str, float]) -> list[_Line]:
    found = [sample for sample in found if sample.counted]
    every = iter(reaches([row for sample in found for row in sample.counted], target))
    return [_line(sample, [next(every) for _ in sample.counted], metric, prices) for sample in found]


def _line(sample: Sample, there: list[Reach | None], metric: Metric, prices: dict[str, float]) -> _Line:
    numbers: list[float | None] = []
    unmeasured = 0
    for row, reach in zip(sample.counted, there, strict=True):
        price = prices.get(row.worker or "")
        number = metric.of(row, reach, price)
        if not metric.is_measured(row, price):
            unmeasured += 1
        elif metric.reaches or (number is not None and has_finished(row)):
            numbers.append(number)
        elif has_finished(row):
            unmeasured += 1
    value = statistics.median_time(numbers) if metric.reaches else _mean(numbers)
    return _Line(sample, numbers, unmeasured, there, value)


def _order(line: _Line, metric: Metric) -> tuple[float, float, int]:
    """Best first; what has no value comes last, among these whoever reached the target more often first."""
    share, earliest = line.reached / len(line.sample.counted), line.sample.counted[0].id
    if line.value is None:
        return (math.inf, -share, earliest)
    return (-line.value if metric.is_better_higher else line.value, -share, earliest)


def _ranked(line: _Line, run: Run, plain: Sequence[Plain], *, rank: int | None, is_like: bool) -> Ranked:
    rows, finished = line.sample.counted, line.sample.finished
    known = [number for number in line.numbers if number is not None]
    return Ranked(
        rank=rank,
        run=run,
        sample=line.sample,
        value=line.value,
        spread=statistics.spread_of_known(known),
        numbers=known,
        missed=len(line.numbers) - len(known),
        diverged=len(rows) - len(finished),
        unmeasured=line.unmeasured,
        reached=statistics.reached(line.reached, len(rows)),
        median_time=statistics.median_time([reach.elapsed if reach else None for reach in line.reaches]),
        final=statistics.spread_of_known([row.last_val_accuracy for row in finished]),
        plain_final=_mean([one.last for one in plain]),
        plain_best=_mean([one.best for one in plain]),
        is_like_first=is_like,
    )


def _mean(some: Sequence[float | None]) -> float | None:
    known = [one for one in some if one is not None]
    return fmean(known) if known else None


def _most_used(session: Session) -> str:
    """The data set of most runs; where there is none, that of the original experiment."""
    used = select(Run.dataset).where(Run.status == Status.SUCCEEDED).group_by(Run.dataset)
    return session.scalar(used.order_by(func.count().desc(), Run.dataset).limit(1)) or "cifar10"


def _most(found: Counter[Any]) -> Any:
    return found.most_common(1)[0][0] if found else None
