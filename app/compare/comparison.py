"""Runs and groups side by side: their curves, their results, and the settings in which their recipes differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.board import groups
from app.errors import InvalidRequest, NotFound
from app.metrics import curves
from app.metrics.curves import Curve
from app.records.models import Run
from app.run_list import listing
from app.runs.recipes import MISSING, differing_settings
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch

MAX_SIDES = 100


@dataclass(frozen=True)
class Side:
    """A run or a group."""

    name: str
    url: str
    is_group: bool
    run: Run  # of a group the newest included run
    curves: list[Curve]
    accuracy: float | None  # final, a share; of a group the mean
    sd: float | None
    without_tta: float | None  # final accuracy; None: the recipe uses no TTA
    best: float | None
    best_without_tta: float | None  # None: the recipe uses no TTA
    seconds: float | None  # training time; of a group the mean
    time_to_target: float | None  # of a group the median, misses included
    n: int
    steps: int | None  # per epoch; None: not known yet
    stats: groups.GroupStatistics | None = None  # of a group

    @property
    def recipe_hash(self) -> str:
        return self.run.recipe_hash


@dataclass(frozen=True)
class Comparison:
    run_ids: list[int]  # as requested
    group_names: list[str]  # as requested
    sides: list[Side]
    differing: list[tuple[str, list[Any]]]  # setting, its value on each side

    @property
    def values(self) -> list[list[Any]]:
        """For each side its values in `differing`; None: its recipe lacks the setting."""
        shown = [[None if value is MISSING else value for value in values] for _, values in self.differing]
        return [[values[index] for values in shown] for index in range(len(self.sides))]


def compare(session: Session, run_ids: Sequence[int], group_names: Sequence[str]) -> Comparison:
    """Raises NotFound, or InvalidRequest for more than MAX_SIDES."""
    if len(run_ids) + len(group_names) > MAX_SIDES:
        raise InvalidRequest([("runs", f"at most {MAX_SIDES} can be compared at once")])
    run_ids, group_names = list(dict.fromkeys(run_ids)), list(dict.fromkeys(group_names))
    sides = _load_run_sides(session, run_ids)
    sides += [_group_side(groups.load_group(session, name)) for name in group_names]
    differences = differing_settings([_recipe(side) for side in sides], without={"target_accuracy"})
    return Comparison(run_ids, group_names, sides, differences)


def _recipe(side: Side) -> dict[str, Any]:
    """A group has no seed of its own."""
    return {key: value for key, value in side.run.recipe.items() if key != "seed" or not side.is_group}


def compare_url(run_ids: Sequence[object], group_names: Sequence[str]) -> str:
    sides = (("runs", run_ids), ("groups", group_names))
    query = [(key, ",".join(map(str, values))) for key, values in sides if values]
    return "/compare" + ("?" + urlencode(query, safe=",") if query else "")


def _load_run_sides(session: Session, run_ids: Sequence[int]) -> list[Side]:
    found = listing.load_runs(session, run_ids)
    if missing := set(run_ids) - {run.id for run in found}:
        raise NotFound(f"there is no run {min(missing)}")
    by_run = curves.load_curves(session, run_ids)
    return [_run_side(run, by_run.get(run.id)) for run in found]


def _run_side(run: Run, curve: Curve | None) -> Side:
    return Side(
        name=f"{run.name} #{run.id}",
        url=f"/runs/{run.id}",
        is_group=False,
        run=run,
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


def _group_side(group: groups.Group) -> Side:
    stats, rows = group.stats, group.sample.included
    newest = next((run for run in group.runs if rows and run.id == rows[-1].id), group.runs[0])  # included
    return Side(
        name=f"{group.runs[0].name}, {len(rows)} {'run' if len(rows) == 1 else 'runs'}",
        url=f"/groups/{group.recipe_hash[:12]}",
        is_group=True,
        run=newest,
        curves=list(group.curves.values()),
        accuracy=stats.final.mean if stats.final else None,
        sd=stats.final.sd if stats.final else None,
        without_tta=stats.final_without_tta.mean if stats.final_without_tta else None,
        best=stats.best.largest if stats.best else None,
        best_without_tta=stats.best_without_tta.largest if stats.best_without_tta else None,
        seconds=sum(row.elapsed_seconds for row in rows) / len(rows) if rows else None,
        time_to_target=stats.median_time,
        n=len(rows),
        steps=_steps_per_epoch(newest),
        stats=stats,
    )


def _steps_per_epoch(run: Run) -> int | None:
    return steps_per_epoch(Recipe.model_validate(run.recipe), run.train_images) if run.train_images else None
