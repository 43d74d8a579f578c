"""Runs and groups side by side: their curves, their results, and the settings in which their recipes differ.

Folded, runs that differ in their seed alone are one side, as a group is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.board import groups, samples
from app.charts.palette import Look, choose_looks
from app.errors import InvalidRequest, NotFound
from app.metrics import accuracy, curves
from app.metrics.curves import Curve
from app.records.models import ENDED, Run
from app.run_list import listing
from app.run_list.folding import fold_runs
from app.runs.recipes import MISSING, differing_settings
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch

MAX_SIDES = 100


@dataclass(frozen=True)
class Side:
    """A run, a group, or runs of one recipe folded into one side."""

    name: str
    url: str
    is_group: bool  # or folded runs: then the numbers are those of a group
    run: Run  # of a group the newest included run
    run_ids: list[int]  # of a group the included runs; of folded runs all of them
    included: list[int]  # the runs whose numbers these are
    curves: list[Curve]
    accuracy: float | None  # final (of the last epoch), a share; of a group the mean
    sd: float | None
    without_tta: float | None  # final accuracy; None: the recipe uses no TTA
    best: float | None  # of the best epoch; of a group the highest
    best_without_tta: float | None  # None: the recipe uses no TTA
    seconds: float | None  # training time; of a group the mean
    time_to_target: float | None  # of a group the median, misses included
    n: int
    steps: int | None  # per epoch; None: not known yet
    stats: groups.GroupStatistics | None = None  # of a group
    is_folded: bool = False
    look: Look = Look(0)  # noqa: RUF009  # frozen

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the mean final accuracy, within 0..1; None for fewer than two finished runs."""
        final = self.stats.final if self.stats else None
        if final is None or final.low is None or final.high is None:
            return None
        return max(final.low, 0.0), min(final.high, 1.0)

    @property
    def last_epoch(self) -> int | None:
        """The epoch of `accuracy`; None for a group, and before the first."""
        return None if self.is_group else self.run.last_epoch or None

    @property
    def best_epoch(self) -> int | None:
        """The epoch of `best`; None for a group."""
        return None if self.is_group else self.run.best_epoch

    @property
    def recipe_hash(self) -> str:
        return self.run.recipe_hash


@dataclass(frozen=True)
class Comparison:
    run_ids: list[int]  # as requested
    group_names: list[str]  # as requested
    sides: list[Side]
    differing: list[tuple[str, list[Any]]]  # setting, its value on each side
    fold: bool  # as requested

    @property
    def recipes(self) -> int:
        """Number of different recipes."""
        return len({side.recipe_hash for side in self.sides})

    @property
    def pair(self) -> tuple[Side, Side] | None:
        """The first side of each recipe, if there are two recipes of one data set."""
        first: dict[str, Side] = {}
        for side in self.sides:
            first.setdefault(side.recipe_hash, side)
        if len(first) != 2 or len({side.run.dataset for side in first.values()}) != 1:
            return None
        one, other = first.values()
        return one, other

    @property
    def runs(self) -> int:
        return len({run_id for side in self.sides for run_id in side.run_ids})

    @property
    def has_seeds(self) -> bool:
        """Whether folding and unfolding differ."""
        single = [side.run for side in self.sides if not side.is_group]
        return any(side.is_folded for side in self.sides) or len(fold_runs(single)) < len(single)

    @property
    def subject(self) -> str:
        """`12 recipes on digits`: the summary document's title unless somebody chose another."""
        first = self.sides[0]
        return first.name if len(self.sides) == 1 else f"{count(self.recipes, 'recipe')} on {first.run.dataset}"

    @property
    def values(self) -> list[list[Any]]:
        """For each side its values in `differing`; None: its recipe lacks the setting."""
        shown = [[None if value is MISSING else value for value in values] for _, values in self.differing]
        return [[values[index] for values in shown] for index in range(len(self.sides))]


def compare(session: Session, run_ids: Sequence[int], group_names: Sequence[str], *, fold: bool = False) -> Comparison:
    """`fold`: runs that differ in their seed alone become one side. Raises NotFound, or InvalidRequest for more than
    MAX_SIDES.
    """
    if len(run_ids) + len(group_names) > MAX_SIDES:
        raise InvalidRequest([("runs", f"at most {MAX_SIDES} can be compared at once")])
    run_ids, group_names = list(dict.fromkeys(run_ids)), list(dict.fromkeys(group_names))
    found = [groups.load_group(session, name) for name in group_names]
    sides = _load_run_sides(session, run_ids, fold=fold) + [_group_side(group) for group in found]
    oldest = {group.recipe_hash: group.runs[-1].id for group in found}
    looks = choose_looks(
        [(side.recipe_hash, min([*side.run_ids, oldest.get(side.recipe_hash, side.run.id)])) for side in sides]
    )
    sides = [replace(side, look=look) for side, look in zip(sides, looks, strict=True)]
    differences = differing_settings([_recipe(side) for side in sides], without={"target_accuracy"})
    return Comparison(run_ids, group_names, sides, differences, fold)


def count(number: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _recipe(side: Side) -> dict[str, Any]:
    """A group has no seed of its own."""
    return {key: value for key, value in side.run.recipe.items() if key != "seed" or not side.is_group}


def compare_url(run_ids: Sequence[object], group_names: Sequence[str], *, fold: bool = True) -> str:
    sides = (("runs", run_ids), ("groups", group_names))
    query = [(key, ",".join(map(str, values))) for key, values in sides if values]
    if query and not fold:
        query.append(("fold", "0"))
    return "/compare" + ("?" + urlencode(query, safe=",") if query else "")


def _load_run_sides(session: Session, run_ids: Sequence[int], *, fold: bool) -> list[Side]:
    found = listing.load_runs(session, run_ids)
    if missing := set(run_ids) - {run.id for run in found}:
        raise NotFound(f"there is no run {min(missing)}")
    by_run = curves.load_curves(session, run_ids)
    if not fold:
        return [_run_side(run, by_run.get(run.id)) for run in found]
    folds = fold_runs(found)
    several = [run.id for runs in folds if len(runs) > 1 for run in runs]
    rows = {row.id: row for row in samples.load_rows(session, Run.id.in_(several))} if several else {}
    return [
        _run_side(runs[0], by_run.get(runs[0].id))
        if len(runs) == 1
        else _folded_side(session, runs, [rows[run.id] for run in sorted(runs, key=lambda one: one.id)], by_run)
        for runs in folds
    ]


def _run_side(run: Run, curve: Curve | None) -> Side:
    return Side(
        name=f"{run.name} #{run.id}",
        url=f"/runs/{run.id}",
        is_group=False,
        run=run,
        run_ids=[run.id],
        included=[run.id],
        curves=[curve] if curve else [],
        accuracy=run.last_val_accuracy,
        sd=None,
        without_tta=run.last_plain_accuracy,
        best=run.best_val_accuracy,
        best_without_tta=run.best_plain_accuracy,
        seconds=run.elapsed_seconds if run.last_epoch else None,
        time_to_target=run.time_to_target,
        n=1,
        steps=_steps_per_epoch(run),
    )


def _folded_side(
    session: Session, runs: Sequence[Run], rows: Sequence[samples.Row], by_run: Mapping[int, Curve]
) -> Side:
    """`rows`: of the same runs, oldest first."""
    sample = next((one for one in samples.group_into_samples(rows) if one.included), None)
    sample = sample or samples.Sample(runs[0].recipe_hash, runs[0].hardware)
    included = {row.id for row in sample.included}
    newest = max(runs, key=lambda run: (run.id in included, run.id))
    has_tta = accuracy.has_tta(newest.recipe)
    target = float(newest.recipe["target_accuracy"])
    drawn = [run.id for run in runs if run.id in included or run.status not in ENDED]
    return replace(
        _sample_side(
            newest,
            sample,
            groups.compute_statistics(session, sample, target, has_tta=has_tta),
            [by_run[run_id] for run_id in drawn if run_id in by_run],
        ),
        name=f"{newest.name}, {count(len(runs), 'run')}",
        run_ids=[run.id for run in runs],
        is_folded=True,
    )


def _group_side(group: groups.Group) -> Side:
    rows = group.sample.included
    newest = next((run for run in group.runs if rows and run.id == rows[-1].id), group.runs[0])  # included
    side = _sample_side(newest, group.sample, group.stats, list(group.curves.values()))
    return replace(side, name=f"{group.runs[0].name}, {count(len(rows), 'run')}")


def _sample_side(run: Run, sample: samples.Sample, stats: groups.GroupStatistics, drawn: list[Curve]) -> Side:
    rows = sample.included
    return Side(
        name=run.name,
        url=f"/groups/{sample.recipe_hash[:12]}",
        is_group=True,
        run=run,
        run_ids=[row.id for row in rows],
        included=[row.id for row in rows],
        curves=drawn,
        accuracy=stats.final.mean if stats.final else None,
        sd=stats.final.sd if stats.final else None,
        without_tta=stats.final_without_tta.mean if stats.final_without_tta else None,
        best=stats.best.largest if stats.best else None,
        best_without_tta=stats.best_without_tta.largest if stats.best_without_tta else None,
        seconds=sum(row.elapsed_seconds for row in rows) / len(rows) if rows else None,
        time_to_target=stats.median_time,
        n=len(rows),
        steps=_steps_per_epoch(run),
        stats=stats,
    )


def _steps_per_epoch(run: Run) -> int | None:
    return steps_per_epoch(Recipe.model_validate(run.recipe), run.train_images) if run.train_images else None
