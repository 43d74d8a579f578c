"""The verdict on two recipes: which one is better by a metric, by how much, and how many more seeds would tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.board import groups, samples
from app.board.metrics import METRICS, Measurements, Metric, find_target_hits, find_val_images, measure
from app.board.ranking import BoardQuery, rank_recipes, validated_on
from app.board.samples import Sample
from app.errors import InvalidRequest
from app.metrics import verdicts
from app.metrics.verdicts import MAX_SEEDS, Verdict
from app.records.models import Run
from app.workers.prices import load_prices

Outcome = Literal["better", "worse", "equivalent", "undecided", "not_comparable"]
Key = tuple[str | None, str | None]  # hardware, fingerprint
MIN_MAX_SEEDS, MAX_MAX_SEEDS = 2, 100


@dataclass(frozen=True)
class Question:
    """Which of two recipes is better. `family`: how many comparisons are judged together, `pair` for one, or `board`
    for all pairs of the board's rows. `target` None: the baseline's own. `margin`: in the unit of the difference.
    `hardware`, `fingerprint` (version of the data): to compare on; None: those on which both have the most runs.
    """

    baseline: str  # recipe hash, or its first letters
    candidate: str
    metric: str = "accuracy"
    target: float | None = None
    dataset: str | None = None
    margin: float | None = None
    family: int | Literal["pair", "board"] = "pair"
    max_seeds: int = MAX_SEEDS
    hardware: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class Answer:
    """What may be said of the candidate beside the baseline."""

    outcome: Outcome
    sentence: str
    baseline: Run  # the newest run of each
    candidate: Run
    metric: Metric
    target: float
    comparisons: int
    verdict: Verdict | None  # None: not comparable
    hardware: str | None = None  # that both were compared on
    fingerprint: str | None = None
    mean_seconds: tuple[float, float] = (0.0, 0.0)  # training time of a run of each
    included: tuple[int, int] = (0, 0)  # runs of each in its sample, also those without a number

    @property
    def seconds_needed(self) -> float | None:
        """Training time of the seeds that are needed, of both recipes."""
        runs = self.verdict.runs_needed() if self.verdict else None
        return runs and sum(count * seconds for count, seconds in zip(runs, self.mean_seconds, strict=True))


def answer(session: Session, question: Question) -> Answer:
    """Raises NotFound for an unknown recipe, InvalidRequest for a question without an answer."""
    one, other = (groups.load_group_runs(session, name) for name in (question.baseline, question.candidate))
    if one[0].recipe_hash == other[0].recipe_hash:
        raise InvalidRequest([("candidate", "is the baseline itself: choose another recipe")])
    if question.dataset is not None:
        for field, run in (("baseline", one[0]), ("candidate", other[0])):
            if run.dataset != question.dataset:
                raise InvalidRequest([(field, f"was trained on {run.dataset}, not on {question.dataset}")])
    metric = METRICS[question.metric]
    if metric.unit == "share" and question.margin is not None and question.margin >= 1:
        raise InvalidRequest([("margin", "is a share of accuracy, below 1: 0.005 is half a point")])
    target = question.target or float(one[0].recipe["target_accuracy"])
    comparisons = _count_comparisons(session, question, (one[0], other[0]), target)
    if reason := _find_difference(one[0], other[0]):
        return _not_comparable(reason, one[0], other[0], metric, target, comparisons)
    pair = _find_pair(session, (one[0].recipe_hash, other[0].recipe_hash), (question.hardware, question.fingerprint))
    if isinstance(pair, str):
        return _not_comparable(pair, one[0], other[0], metric, target, comparisons)
    prices = load_prices(session)
    measured = [measure(it.included, find_target_hits(it.included, target), metric, prices) for it in pair]
    if reason := _find_unmeasured(measured, pair, metric, (one[0], other[0])):
        return _not_comparable(reason, one[0], other[0], metric, target, comparisons)
    verdict = verdicts.judge(
        measured[0].numbers,
        measured[1].numbers,
        metric.scale,
        is_better_higher=metric.is_better_higher,
        comparisons=comparisons,
        margin=question.margin,
        max_seeds=question.max_seeds,
    )
    return Answer(
        outcome=verdict.outcome,
        sentence=describe(verdict, metric, one[0].name, other[0].name, question.max_seeds),
        baseline=one[0],
        candidate=other[0],
        metric=metric,
        target=target,
        comparisons=comparisons,
        verdict=verdict,
        hardware=pair[0].hardware,
        fingerprint=next((row.fingerprint for it in pair for row in it.included), None),
        mean_seconds=(_mean_seconds(pair[0]), _mean_seconds(pair[1])),
        included=(len(pair[0].included), len(pair[1].included)),
    )


def describe(verdict: Verdict, metric: Metric, baseline: str, candidate: str, max_seeds: int = MAX_SEEDS) -> str:
    """The verdict in a sentence or two."""
    title = metric.title.lower()
    n = (
        " and ".join(map(str, verdict.n)) + " seeds"
        if len(set(verdict.n)) > 1
        else f"{verdict.n[0]} seed{'s' * (verdict.n[0] != 1)} each"
    )
    by = describe_difference(verdict, metric)
    match verdict.outcome:
        case "better" | "worse":
            return f"{candidate} is {verdict.outcome} than {baseline} by {title}, after {n}{f': {by}' if by else ''}."
        case "equivalent":
            return f"{candidate} and {baseline} are equivalent by {title}, after {n}: {by}, all within the margin."
    undecided = f"{candidate} against {baseline}: undecided by {title} after {n}"
    if verdict.looks_left == 0:
        return f"{undecided}, the maximum{f'. The difference is {by}' if by else ''}."
    if verdict.seeds_needed is not None:
        fewer = "each" if verdict.n[0] == verdict.n[1] else baseline if verdict.n[0] < verdict.n[1] else candidate
        seeds = "seed" if verdict.seeds_needed == 1 else "seeds"
        more = f"about {verdict.seeds_needed} more {seeds} of {fewer} would tell"
    elif min(verdict.n) < 2:
        more = "each needs at least 3 seeds"
    else:
        more = f"{max_seeds} seeds of each would probably not tell"
    return f"{undecided}{f', {by}' if by else ''}. {more[:1].upper()}{more[1:]}."


def describe_difference(verdict: Verdict, metric: Metric) -> str:
    """`+0.42 points (+0.10 to +0.74)`; empty if there is no number."""
    difference, interval = format_difference(verdict.difference, verdict.interval, metric)
    return f"{difference} ({interval})" if interval else difference


def format_difference(difference: float | None, interval: Sequence[float] | None, metric: Metric) -> tuple[str, str]:
    """(`+0.42 points`, `+0.10 to +0.74`); empty where there is no number."""
    if difference is None:
        return "", ""
    factor, decimals, unit = {"share": (100, 2, "points"), "count": (1, 1, "epochs"), "ratio": (100, 1, "%")}[
        metric.scale
    ]

    def text(value: float) -> str:
        return f"{round(factor * value, decimals) + 0.0:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")

    return f"{text(difference)} {unit}", f"{text(interval[0])} to {text(interval[1])}" if interval else ""


def to_json(found: Answer) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "verdict": found.outcome,
        "sentence": found.sentence,
        "baseline": found.baseline.recipe_hash,
        "candidate": found.candidate.recipe_hash,
        "metric": found.metric.name,
        "target": found.target,
        "comparisons": found.comparisons,
        "difference": verdict.difference if verdict else None,
        "interval": list(verdict.interval) if verdict and verdict.interval else None,
        "n": list(verdict.n) if verdict else [0, 0],
        "looks_left": verdict.looks_left if verdict else None,
        "seeds_needed": verdict.seeds_needed if verdict else None,
        "seconds_needed": found.seconds_needed,
        "seconds_per_run": list(found.mean_seconds),
        "hardware": found.hardware,
        "fingerprint": found.fingerprint,
    }


def _count_comparisons(session: Session, question: Question, pair: tuple[Run, Run], target: float) -> int:
    if question.family == "pair":
        return 1
    if question.family != "board":
        return question.family
    query = BoardQuery(pair[0].dataset, question.metric, target, question.hardware, question.fingerprint)
    board = rank_recipes(session, query)
    if board.baseline in {None, pair[0].recipe_hash, pair[1].recipe_hash}:
        return board.comparisons
    rows = sum(row.ranks is not None for row in board.rows)  # not judged beside the baseline, so as one of all pairs
    return max(rows * (rows - 1) // 2, 1)


def _find_difference(one: Run, other: Run) -> str | None:
    """Why their results cannot be compared, whatever was run; None if they can."""
    if one.dataset != other.dataset:
        return f"they are of different data sets, {one.dataset} and {other.dataset}"
    keys = ("val_from_train", "val_limit")
    for key, mine, its in zip(keys, validated_on(one.recipe), validated_on(other.recipe), strict=True):
        if mine != its:
            return f"they are validated on different images (dataset.{key}: {mine or 'all'} and {its or 'all'})"
    return None


def _find_pair(session: Session, names: tuple[str, str], place: Key) -> tuple[Sample, Sample] | str:
    """The samples of both recipes on the hardware and data that both have, with the most runs; or why there are none. A
    recipe without runs has an empty sample. `place`: only this hardware, this version of the data; None: any.
    """
    found = [{key: it for it in _samples(session, name) if (key := _key(it)) and _is_at(key, place)} for name in names]
    keys = found[0].keys() & found[1].keys() if all(found) else found[0].keys() | found[1].keys()
    if keys or not any(found):
        key = max(sorted(keys, key=str), key=lambda key: _count(found, key), default=place)
        first, second = (one.get(key) or Sample(name, key[0]) for one, name in zip(found, names, strict=True))
        return first, second
    hardware = [sorted({str(key[0]) for key in one}) for one in found]
    if not set(hardware[0]) & set(hardware[1]):
        return f"they ran on different hardware, {', '.join(hardware[0])} and {', '.join(hardware[1])}"
    return "they were trained on different versions of the data"


def _key(sample: Sample) -> Key | None:
    """None: it has no runs."""
    return (sample.hardware, sample.included[0].fingerprint) if sample.included else None


def _is_at(key: Key, place: Key) -> bool:
    return all(wanted in (None, own) for wanted, own in zip(place, key, strict=True))


def _count(found: Sequence[dict[Key, Sample]], key: Key) -> tuple[int, int]:
    """Runs of the side that has fewer, and of both."""
    counts = [len(one[key].included) if key in one else 0 for one in found]
    return min(counts), sum(counts)


def _samples(session: Session, recipe_hash: str) -> list[Sample]:
    """A sample for each hardware and version of the data."""
    rows = samples.load_rows(session, Run.recipe_hash == recipe_hash)
    prints = sorted({row.fingerprint or "" for row in rows})
    return [
        sample
        for one in prints
        for sample in samples.group_into_samples(row for row in rows if (row.fingerprint or "") == one)
    ]


def _find_unmeasured(
    measured: Sequence[Measurements], pair: tuple[Sample, Sample], metric: Metric, runs: tuple[Run, Run]
) -> str | None:
    for one, run in zip(measured, runs, strict=True):
        if not one.numbers.values and one.unmeasured:
            return f"{metric.title.lower()} was not measured for {run.name}"
    sizes = [find_val_images(it.included) for it in pair]
    if sizes[0] and sizes[1] and sizes[0] != sizes[1]:
        return f"they are validated on different images ({sizes[0]:,} and {sizes[1]:,} of them)"
    return None


def _not_comparable(reason: str, one: Run, other: Run, metric: Metric, target: float, comparisons: int) -> Answer:
    return Answer("not_comparable", f"Not comparable: {reason}.", one, other, metric, target, comparisons, None)


def _mean_seconds(sample: Sample) -> float:
    rows = sample.included
    return sum(row.elapsed_seconds for row in rows) / len(rows) if rows else 0.0
