"""JSON of boards and groups. Accuracies are shares (0..1), times seconds, energy Wh, money whatever prices are in.

Must not know how anything is counted.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.board import groups, ranking
from app.board.metrics import METRICS
from app.json_shapes import RequestModel
from app.metrics import accuracy, statistics


class SpreadResponse(BaseModel):
    """Of one number over n runs. With n = 1 there is no spread: `sd` and `interval` are null."""

    n: int
    mean: float
    median: float
    sd: float | None = Field(description="Of the sample, n - 1 below the line")
    interval: list[float] | None = Field(description="95 % interval of the mean, by Student's t")
    min: float
    max: float


class ReachedResponse(BaseModel):
    count: int
    n: int
    interval: list[float] = Field(description="95 % interval of the share, by Wilson")
    next: float = Field(description="Probability that the next run reaches the target, after Jeffreys' prior")


class BoardRow(BaseModel):
    """A recipe on one kind of hardware."""

    rank: int | None = Field(description="null: not ranked, because nobody measured it or too few reached the target")
    name: str
    preset: str | None
    recipe: dict[str, Any]
    recipe_hash: str
    value: float | None = Field(description="What it is ranked by: the mean, or the median of ways to the target")
    n: int = Field(description="Runs that count: one for each seed")
    mean: float | None = Field(description="Of the metric, over the runs that have it; likewise the next four")
    sd: float | None
    interval: list[float] | None
    min: float | None
    max: float | None
    missed: int = Field(description="Runs that count and never reached the target")
    diverged: int = Field(description="Runs that count and broke: misses, and in no mean")
    unmeasured: int
    reached: int = Field(description="How many of n reached the target")
    reached_interval: list[float]
    reach_probability: float
    is_like_first: bool = Field(description="Cannot be told from the first row at 5 %, corrected for all rows shown")
    hardware: str | None
    precision: str
    backend: str
    tta: bool = Field(description="Whether accuracies count with test-time augmentation; by which, `recipe.tta` says")
    plain_accuracy: float | None = Field(description="Mean at the end without it; null: there is none, all are plain")
    plain_best_accuracy: float | None = Field(description="Likewise of the best")
    versions: list[str]
    resumed: int = Field(description="Runs whose curve is that of several attempts")
    runs: list[int]
    replays: int = Field(description="Further runs of the same seeds, left out")
    excluded: int = Field(description="Cancelled runs and failures of the machine, left out")
    under_way: int


class BoardResponse(BaseModel):
    metric: str
    unit: str
    target: float
    dataset: str
    hardware: str | None = Field(description="That of all rows; `all`: several, side by side")
    fingerprint: str | None = Field(description="Of the pictures")
    all_hardware: dict[str, int]
    all_fingerprints: dict[str, int]
    rows: list[BoardRow]
    left: int = Field(description="Rows beyond the limit")


class GroupResponse(BaseModel):
    recipe_hash: str
    hardware: str | None
    all_hardware: dict[str, int]
    target: float
    runs: list[int] = Field(description="That count")
    replays: list[int]
    excluded: int
    under_way: int
    tta: bool = Field(description="Whether accuracies count with test-time augmentation")
    final_accuracy: SpreadResponse | None
    plain_final_accuracy: SpreadResponse | None = Field(
        description="Without it; null: there is none, the other is plain"
    )
    best_accuracy: SpreadResponse | None
    plain_best_accuracy: SpreadResponse | None
    reached: ReachedResponse | None
    median_time_to_target: float | None = Field(description="Misses counted as longer than any time")
    times_to_target: SpreadResponse | None
    energy: SpreadResponse | None
    cost: SpreadResponse | None


class WorkerEdited(RequestModel):
    price_per_hour: float | None = Field(ge=0, le=1e6, allow_inf_nan=False, description="null: not known")


MetricName = Literal[
    "accuracy", "best_accuracy", "time_to_target", "epochs_to_target", "images_per_second", "energy", "cost"
]


def board_shown(found: ranking.Board) -> BoardResponse:
    asked = found.question
    return BoardResponse(
        metric=asked.metric,
        unit=METRICS[asked.metric].unit,
        target=asked.target,
        dataset=asked.dataset or "",
        hardware=asked.hardware,
        fingerprint=asked.fingerprint,
        all_hardware={name or "unknown": number for name, number in found.hardware.items()},
        all_fingerprints=found.fingerprints,
        rows=[_row(one) for one in found.rows],
        left=found.left,
    )


def group_shown(found: groups.Group) -> GroupResponse:
    sample, numbers = found.sample, found.numbers
    return GroupResponse(
        recipe_hash=found.recipe_hash,
        hardware=sample.hardware,
        all_hardware=found.hardware,
        target=found.target,
        runs=[row.id for row in sample.counted],
        replays=[row.id for row in sample.replays],
        excluded=sample.excluded,
        under_way=sample.under_way,
        tta=accuracy.has_tta(found.runs[0].recipe),
        final_accuracy=spread_shown(numbers.final),
        plain_final_accuracy=spread_shown(numbers.plain_final),
        best_accuracy=spread_shown(numbers.best),
        plain_best_accuracy=spread_shown(numbers.plain_best),
        reached=_reached(numbers.reached),
        median_time_to_target=numbers.median_time,
        times_to_target=spread_shown(numbers.times),
        energy=spread_shown(numbers.energy),
        cost=spread_shown(numbers.cost),
    )


def spread_shown(found: statistics.Spread | None) -> SpreadResponse | None:
    if found is None:
        return None
    interval = None if found.low is None or found.high is None else [found.low, found.high]
    return SpreadResponse(
        n=found.n,
        mean=found.mean,
        median=found.median,
        sd=found.sd,
        interval=interval,
        min=found.smallest,
        max=found.largest,
    )


def _reached(found: statistics.Reached | None) -> ReachedResponse | None:
    if found is None:
        return None
    return ReachedResponse(count=found.count, n=found.n, interval=[found.low, found.high], next=found.next)


def _row(one: ranking.Ranked) -> BoardRow:
    run, sample, spread = one.run, one.sample, spread_shown(one.spread)
    return BoardRow(
        rank=one.rank,
        name=run.name,
        preset=run.preset,
        recipe=run.recipe,
        recipe_hash=run.recipe_hash,
        value=one.value,
        n=len(sample.counted),
        mean=spread and spread.mean,
        sd=spread and spread.sd,
        interval=spread and spread.interval,
        min=spread and spread.min,
        max=spread and spread.max,
        missed=one.missed,
        diverged=one.diverged,
        unmeasured=one.unmeasured,
        reached=one.reached.count,
        reached_interval=[one.reached.low, one.reached.high],
        reach_probability=one.reached.next,
        is_like_first=one.is_like_first,
        hardware=sample.hardware,
        precision=run.precision or run.recipe["precision"],
        backend=run.backend,
        tta=accuracy.has_tta(run.recipe),
        plain_accuracy=one.plain_final,
        plain_best_accuracy=one.plain_best,
        versions=sorted({row.version or "unknown" for row in sample.counted}),
        resumed=sum(row.is_resumed for row in sample.counted),
        runs=[row.id for row in sample.counted],
        replays=len(sample.replays),
        excluded=sample.excluded,
        under_way=sample.under_way,
    )
