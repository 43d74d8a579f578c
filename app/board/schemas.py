"""JSON of boards and groups. Accuracies are shares (0..1), times seconds, energy Wh, money in the prices' currency."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.board import groups, ranking
from app.json_shapes import RequestModel
from app.metrics import accuracy, statistics, verdicts


class SpreadResponse(BaseModel):
    """One number over n runs. `sd` and `interval` are null for n = 1."""

    n: int
    mean: float
    median: float
    sd: float | None = Field(description="Sample standard deviation (n - 1)")
    interval: list[float | None] | None = Field(
        description="95 % confidence interval: of the mean of accuracies, by Student's t; of the median of times, "
        "energy and cost, by order statistics, null below six runs"
    )
    min: float
    max: float


class ReachedResponse(BaseModel):
    """How many of n runs reached the target."""

    count: int
    n: int
    interval: list[float] = Field(description="95 % confidence interval of the share, by Clopper and Pearson")
    next: float = Field(description="Probability that the next run reaches the target, with Jeffreys' prior")


class RowVerdict(BaseModel):
    """What may be said of the row beside the reference row: the pinned baseline, or else the first row."""

    verdict: verdicts.Outcome
    difference: float | None = Field(
        description="Row minus reference, as a share, in epochs, or relative (0.1: 10 % more) for times, energy, cost "
        "and speed; null: a run missed the target"
    )
    interval: list[float] | None = Field(
        description="95 % interval of the difference at this look; null: n = 1, or a miss"
    )
    n: list[int] = Field(description="Runs of the reference, and of the row")
    looks_left: int = Field(description="Runs until both have the maximum of 20 seeds")
    seeds_needed: int | None = Field(
        description="Estimate: further seeds of each until the verdict is decided; null: unknown, or beyond the maximum"
    )
    seconds_needed: float | None = Field(description="Training time of these seeds, of both recipes")


class BoardRow(BaseModel):
    """A recipe on one kind of hardware."""

    rank: int | None = Field(description="null: not ranked, because not measured or too few runs reached the target")
    ranks: list[int] | None = Field(
        description="The best and the worst rank that the row may have, at 95 % for all rows shown; null: not judged"
    )
    is_baseline: bool = Field(description="Whether it is the pinned baseline of the data set")
    verdict: RowVerdict | None = Field(description="null: the reference row itself, or not judged")
    name: str
    preset: str | None
    recipe: dict[str, Any]
    recipe_hash: str
    value: float | None = Field(
        description="What the row is ranked by: the mean, or the median for metrics to the target"
    )
    n: int = Field(description="Runs included: one for each seed")
    mean: float | None = Field(description="Mean of the metric, over the runs that have it")
    sd: float | None = Field(description="Sample standard deviation of the metric")
    interval: list[float | None] | None = Field(
        description="95 % confidence interval of `value`; for metrics to the target that is the median: null below six "
        "runs, and an end of null is longer than any time"
    )
    min: float | None = Field(description="Smallest value of the metric")
    max: float | None = Field(description="Largest value of the metric")
    missed: int = Field(description="Included runs that never reached the target")
    diverged: int = Field(description="Included runs that diverged: they are misses, and no mean includes them")
    unmeasured: int = Field(description="Included runs for which the metric was not measured")
    reached: int = Field(description="Included runs that reached the target")
    reached_interval: list[float] = Field(description="95 % confidence interval of the share that reaches the target")
    reach_probability: float = Field(description="Probability that the next run reaches the target")
    is_like_first: bool = Field(
        description="Not significantly different from the first row, whenever one looks (5 % for all rows shown)"
    )
    hardware: str | None
    precision: str
    backend: str
    tta: bool = Field(description="Whether accuracies include test-time augmentation; `recipe.tta` names the kind")
    plain_accuracy: float | None = Field(description="Mean final accuracy without TTA; null: the recipe uses no TTA")
    plain_best_accuracy: float | None = Field(
        description="Mean best accuracy without TTA; null: the recipe uses no TTA"
    )
    versions: list[str] = Field(description="Versions of Pitwall")
    concerns: dict[str, int] = Field(description="Number of finished runs by `concern`")
    resumed: int = Field(description="Included runs that were resumed: their curves span several attempts")
    runs: list[int] = Field(description="Included runs")
    replays: int = Field(description="Later runs of the same seeds; excluded")
    excluded: int = Field(description="Runs that were cancelled or failed without diverging")
    under_way: int = Field(description="Runs in progress")


class BoardResponse(BaseModel):
    metric: str = Field(description="That the rows are ranked by: the requested one, or `accuracy` if no row has it")
    requested_metric: str
    notice: str | None = Field(description="Why the rows are ranked by another metric; null: they are not")
    unit: str
    target: float = Field(description="Default: the target that most runs have")
    dataset: str
    hardware: str | None = Field(description="Hardware of all rows; `all`: every kind")
    fingerprint: str | None = Field(description="Version of the data")
    all_hardware: dict[str, int] = Field(description="Runs on each kind of hardware")
    all_fingerprints: dict[str, int] = Field(description="Runs on each version of the data")
    baseline: str | None = Field(description="Recipe hash of the pinned baseline, if it is among the rows")
    comparisons: int = Field(description="Pairs of rows that are judged together")
    rows: list[BoardRow]
    left: int = Field(description="Number of rows beyond the limit")


class GroupResponse(BaseModel):
    """Statistics over the runs of one recipe."""

    recipe_hash: str
    hardware: str | None
    all_hardware: dict[str, int] = Field(description="Runs on each kind of hardware")
    target: float
    runs: list[int] = Field(description="Included runs: one for each seed")
    replays: list[int] = Field(description="Later runs of the same seeds; excluded")
    excluded: int = Field(description="Runs that were cancelled or failed without diverging")
    under_way: int = Field(description="Runs in progress")
    tta: bool = Field(description="Whether accuracies include test-time augmentation")
    final_accuracy: SpreadResponse | None
    plain_final_accuracy: SpreadResponse | None = Field(description="Without TTA; null: the recipe uses no TTA")
    best_accuracy: SpreadResponse | None
    plain_best_accuracy: SpreadResponse | None = Field(description="Without TTA; null: the recipe uses no TTA")
    val_images: int | None = Field(description="Validation images that accuracies are measured on")
    sampling_error: float | None = Field(
        description="Standard error of one run's final accuracy from being measured on these `val_images`"
    )
    concerns: dict[str, int] = Field(description="Number of finished runs by `concern`")
    reached: ReachedResponse | None
    median_time_to_target: float | None = Field(
        description="A miss is longer than any time; null: half of the runs or more missed"
    )
    times_to_target: SpreadResponse | None = Field(description="Times of the runs that reached the target")
    energy: SpreadResponse | None = Field(description="Of whole runs")
    cost: SpreadResponse | None = Field(description="Of whole runs")


class WorkerEdited(RequestModel):
    price_per_hour: float | None = Field(ge=0, le=1e6, allow_inf_nan=False, description="null: not known")


MetricName = Literal[
    "accuracy", "best_accuracy", "time_to_target", "epochs_to_target", "images_per_second", "energy", "cost"
]


def to_board_response(board: ranking.Board) -> BoardResponse:
    query = board.query
    return BoardResponse(
        metric=board.metric.name,
        requested_metric=query.metric,
        notice=board.notice,
        unit=board.metric.unit,
        target=board.target,
        dataset=query.dataset or "",
        hardware=query.hardware,
        fingerprint=query.fingerprint,
        all_hardware={name or "unknown": number for name, number in board.hardware.items()},
        all_fingerprints=board.fingerprints,
        baseline=board.baseline,
        comparisons=board.comparisons,
        rows=[_to_board_row(one, board.baseline) for one in board.rows],
        left=board.hidden,
    )


def to_group_response(group: groups.Group) -> GroupResponse:
    sample, stats = group.sample, group.stats
    return GroupResponse(
        recipe_hash=group.recipe_hash,
        hardware=sample.hardware,
        all_hardware=group.hardware,
        target=group.target,
        runs=[row.id for row in sample.included],
        replays=[row.id for row in sample.duplicates],
        excluded=sample.excluded,
        under_way=sample.in_progress,
        tta=accuracy.has_tta(group.runs[0].recipe),
        final_accuracy=_to_spread_response(stats.final),
        plain_final_accuracy=_to_spread_response(stats.final_without_tta),
        best_accuracy=_to_spread_response(stats.best),
        plain_best_accuracy=_to_spread_response(stats.best_without_tta),
        val_images=group.images,
        sampling_error=group.sampling_error,
        concerns=sample.concerns,
        reached=_to_reached_response(stats.reached),
        median_time_to_target=stats.median_time,
        times_to_target=_to_spread_response(stats.times),
        energy=_to_spread_response(stats.energy),
        cost=_to_spread_response(stats.cost),
    )


def _to_spread_response(spread: statistics.Spread | None) -> SpreadResponse | None:
    if spread is None:
        return None
    interval = None if spread.low is None else [spread.low, spread.high]
    return SpreadResponse(
        n=spread.n,
        mean=spread.mean,
        median=spread.median,
        sd=spread.sd,
        interval=interval,
        min=spread.smallest,
        max=spread.largest,
    )


def _to_reached_response(rate: statistics.ReachRate | None) -> ReachedResponse | None:
    if rate is None:
        return None
    return ReachedResponse(count=rate.count, n=rate.n, interval=[rate.low, rate.high], next=rate.next_probability)


def _to_row_verdict(row: ranking.RankedRecipe) -> RowVerdict | None:
    if row.verdict is None:
        return None
    return RowVerdict(
        verdict=row.verdict.outcome,
        difference=row.verdict.difference,
        interval=list(row.verdict.interval) if row.verdict.interval else None,
        n=list(row.verdict.n),
        looks_left=row.verdict.looks_left,
        seeds_needed=row.verdict.seeds_needed,
        seconds_needed=row.seconds_needed,
    )


def _to_board_row(row: ranking.RankedRecipe, baseline: str | None) -> BoardRow:
    run, sample, spread = row.run, row.sample, row.spread
    return BoardRow(
        rank=row.rank,
        ranks=list(row.ranks) if row.ranks else None,
        is_baseline=run.recipe_hash == baseline,
        verdict=_to_row_verdict(row),
        name=run.name,
        preset=run.preset,
        recipe=run.recipe,
        recipe_hash=run.recipe_hash,
        value=row.value,
        n=len(sample.included),
        mean=spread and spread.mean,
        sd=spread and spread.sd,
        interval=list(row.interval) if row.interval else None,
        min=spread and spread.smallest,
        max=spread and spread.largest,
        missed=row.missed,
        diverged=row.diverged,
        unmeasured=row.unmeasured,
        reached=row.reached.count,
        reached_interval=[row.reached.low, row.reached.high],
        reach_probability=row.reached.next_probability,
        is_like_first=row.is_tied_with_first,
        hardware=sample.hardware,
        precision=run.precision or run.recipe["precision"],
        backend=run.backend,
        tta=accuracy.has_tta(run.recipe),
        plain_accuracy=row.final_without_tta,
        plain_best_accuracy=row.best_without_tta,
        versions=sorted({one.version or "unknown" for one in sample.included}),
        concerns=sample.concerns,
        resumed=sum(one.is_resumed for one in sample.included),
        runs=[one.id for one in sample.included],
        replays=len(sample.duplicates),
        excluded=sample.excluded,
        under_way=sample.in_progress,
    )
