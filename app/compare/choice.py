"""Which recipe of a comparison is the best by final accuracy: what was tested, against what, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.board.metrics import METRICS, Measurements, measure
from app.board.samples import Sample
from app.board.verdicts import describe
from app.metrics import verdicts

METRIC = METRICS["accuracy"]


class Place(NamedTuple):
    """Recipes are comparable only if all of this is the same."""

    dataset: str
    val_from_train: int | None
    val_limit: int | None
    hardware: str | None
    fingerprint: str | None  # of the images that were used


@dataclass(frozen=True)
class Contestant:
    """A recipe with all its runs at one place."""

    name: str
    recipe_hash: str
    place: Place
    sample: Sample
    shown: int  # of its runs in the comparison; 0: the pinned baseline, which is not in it

    def measure(self) -> Measurements:
        rows = self.sample.included
        return measure(rows, [None] * len(rows), METRIC, {})


@dataclass(frozen=True)
class Judged:
    name: str
    mean: float  # final accuracy of the runs that finished, a share
    n: int  # also diverged runs, which are worse than any accuracy
    diverged: int
    left_out: int  # of its runs at this place that are not in the comparison, but were judged with the others
    is_shown: bool  # False: the pinned baseline, which is not in the comparison
    sentence: str  # the verdict; of the reference, what it is


@dataclass(frozen=True)
class Family:
    """Recipes that were judged together, the best first."""

    place: Place
    rows: list[Judged]
    headline: str
    comparisons: int
    is_beside_baseline: bool  # else every pair was judged


@dataclass(frozen=True)
class Choice:
    families: list[Family]
    untested: list[tuple[str, str]]  # name, and why


def judge_recipes(contestants: Sequence[Contestant], pinned: Mapping[str, str]) -> Choice:
    """Judge those at the same place together. `pinned`: the recipe hash of the baseline, by data set.

    The verdict is beside the baseline if that is among them, else beside the best one. That one was found by looking,
    so every pair is judged.
    """
    measured = [(one, one.measure()) for one in contestants]
    places: dict[Place, list[tuple[Contestant, Measurements]]] = {}
    untested: list[tuple[str, str]] = []
    for one, numbers in measured:
        if numbers.numbers.known:
            places.setdefault(one.place, []).append((one, numbers))
        elif one.shown or one.sample.included:
            untested.append((one.name, "none of its runs has finished with an accuracy"))
    families = [found for found in places.values() if len(found) > 1]
    families.sort(key=len, reverse=True)
    alone = [found[0][0] for found in places.values() if len(found) == 1 and found[0][0].shown]
    beside = families[0][0][0] if families else alone[0] if alone else None
    for one in alone:
        if beside and one is not beside:
            untested.append((one.name, f"not comparable with {beside.name}: {_explain(beside.place, one.place)}"))
    return Choice([_judge(found, pinned.get(found[0][0].place.dataset)) for found in families], untested)


def _judge(found: Sequence[tuple[Contestant, Measurements]], pinned: str | None) -> Family:
    ordered = sorted(found, key=lambda one: -(one[1].compute_value(METRIC) or 0.0))
    hashes = [one.recipe_hash for one, _ in ordered]
    baseline = hashes.index(pinned) if pinned in hashes else None
    reference = baseline or 0
    numbers = [measured.numbers for _, measured in ordered]
    ranks = verdicts.rank(numbers, METRIC.scale, is_better_higher=METRIC.is_better_higher, baseline=baseline)
    beside = ordered[reference][0].name
    rows = [
        Judged(
            name=one.name,
            mean=measured.compute_value(METRIC) or 0.0,
            n=len(measured.numbers.values),
            diverged=len(measured.numbers.values) - len(measured.numbers.known),
            left_out=len(one.sample.included) - one.shown if one.shown else 0,
            is_shown=one.shown > 0,
            sentence=("The pinned baseline" if baseline is not None else "The highest mean")
            if index == reference
            else describe(ranks.verdicts[index], METRIC, beside, one.name),
        )
        for index, (one, measured) in enumerate(ordered)
    ]
    outcomes = [ranks.compare(reference, index) for index in range(len(rows)) if index != reference]
    return Family(
        ordered[0][0].place,
        rows,
        _describe_baseline(rows[0].name, beside) if baseline is not None else _describe_best(beside, outcomes),
        ranks.comparisons,
        baseline is not None,
    )


def _describe_baseline(best: str, baseline: str) -> str:
    return f"{best} has the highest mean. Each recipe is compared with the pinned baseline, {baseline}."


def _describe_best(best: str, outcomes: Sequence[str]) -> str:
    """`best`: of the highest mean. `outcomes`: of the others beside it."""
    others, worse = len(outcomes), outcomes.count("worse")
    if worse == others:
        return f"{best} is the best: better than {'the other' if others == 1 else f'each of the {others} others'}."
    if better := outcomes.count("better"):  # its diverged runs are in no mean, but worse than any accuracy
        than_it = "the other is" if others == 1 else f"{better} of the {others} others {_are(better)}"
        return f"{best} has the highest mean of the runs that finished, but {than_it} better: runs of it diverged."
    undecided = others - worse
    if undecided < others:
        beside = f"{undecided} of the {others} others {_are(undecided)} not"
    else:
        beside = "the other is not" if others == 1 else f"none of the {others} others is"
    return f"There is no winner: {best} has the highest mean, but {beside} significantly different from it."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _explain(one: Place, other: Place) -> str:
    if one.dataset != other.dataset:
        return f"they are of different data sets, {one.dataset} and {other.dataset}"
    if one[1:3] != other[1:3]:
        return "they are validated on different images"
    if one.hardware != other.hardware:
        return f"they ran on different hardware, {one.hardware} and {other.hardware}"
    return "they used different images of the data set, or different versions of it"
