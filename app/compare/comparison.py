"""Runs and groups side by side: their curves, what differs in their recipes, their results. Reads only.

Must not know HTTP, HTML or charts.
"""

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
    """One run, or one group: a name, the run that stands for it, its curves and its results."""

    name: str
    address: str
    is_group: bool
    run: Run
    curves: list[Curve]
    accuracy: float | None  # share: of a run its last, of a group the mean of the last
    sd: float | None
    plain: float | None  # without TTA; None: the recipe has none, the other is plain
    best: float | None
    plain_best: float | None
    seconds: float | None  # training clock of the run, or the mean of the runs
    time_to_target: float | None  # of a group the median, misses counted
    n: int
    steps: int | None  # of an epoch; None: not known yet
    numbers: groups.Numbers | None = None  # of a group

    @property
    def recipe_hash(self) -> str:
        return self.run.recipe_hash


@dataclass(frozen=True)
class Comparison:
    """`runs` and `names` as they were asked for."""

    runs: list[int]
    names: list[str]
    sides: list[Side]
    differing: list[tuple[str, list[Any]]]  # knob, its value on each side

    @property
    def values(self) -> list[list[Any]]:
        """Of each side what differs, in that order; None: it has no such knob."""
        shown = [[None if value is MISSING else value for value in values] for _, values in self.differing]
        return [[values[at] for values in shown] for at in range(len(self.sides))]


def compare(session: Session, run_ids: Sequence[int], names: Sequence[str]) -> Comparison:
    """Raises NotFound, and InvalidRequest where there are too many."""
    if len(run_ids) + len(names) > MAX_SIDES:
        raise InvalidRequest([("runs", f"at most {MAX_SIDES} can be compared at once")])
    run_ids, names = list(dict.fromkeys(run_ids)), list(dict.fromkeys(names))
    sides = _of_runs(session, run_ids)
    sides += [_of_group(groups.load_group(session, name)) for name in names]
    return Comparison(
        run_ids, names, sides, differing_settings([_recipe(side) for side in sides], without={"target_accuracy"})
    )


def _recipe(side: Side) -> dict[str, Any]:
    """A group has every seed."""
    return {key: value for key, value in side.run.recipe.items() if key != "seed" or not side.is_group}


def address(run_ids: Sequence[object], names: Sequence[str]) -> str:
    """Of the page that shows them."""
    asked = [(key, ",".join(map(str, some))) for key, some in (("runs", run_ids), ("groups", names)) if some]
    return "/compare" + ("?" + urlencode(asked, safe=",") if asked else "")


def _of_runs(session: Session, run_ids: Sequence[int]) -> list[Side]:
    found = listing.load_runs(session, run_ids)
    if missing := set(run_ids) - {run.id for run in found}:
        raise NotFound(f"there is no run {min(missing)}")
    drawn = curves.of_runs(session, run_ids)
    return [_of_run(run, drawn.get(run.id)) for run in found]


def _of_run(run: Run, curve: Curve | None) -> Side:
    return Side(
        name=f"{run.name} #{run.id}",
        address=f"/runs/{run.id}",
        is_group=False,
        run=run,
        curves=[curve] if curve else [],
        accuracy=run.last_val_accuracy,
        sd=None,
        plain=run.last_plain_accuracy,
        best=run.best_val_accuracy,
        plain_best=run.best_plain_accuracy,
        seconds=run.elapsed_seconds if run.last_epoch else None,
        time_to_target=run.time_to_target,
        n=1,
        steps=_steps(run),
    )


def _of_group(group: groups.Group) -> Side:
    numbers, rows = group.numbers, group.sample.counted
    newest = next((run for run in group.runs if rows and run.id == rows[-1].id), group.runs[0])  # that counts
    return Side(
        name=f"{group.runs[0].name}, {len(rows)} runs",
        address=f"/groups/{group.recipe_hash[:12]}",
        is_group=True,
        run=newest,
        curves=list(group.curves.values()),
        accuracy=numbers.final.mean if numbers.final else None,
        sd=numbers.final.sd if numbers.final else None,
        plain=numbers.plain_final.mean if numbers.plain_final else None,
        best=numbers.best.largest if numbers.best else None,
        plain_best=numbers.plain_best.largest if numbers.plain_best else None,
        seconds=sum(row.elapsed_seconds for row in rows) / len(rows) if rows else None,
        time_to_target=numbers.median_time,
        n=len(rows),
        steps=_steps(newest),
        numbers=numbers,
    )


def _steps(run: Run) -> int | None:
    return steps_per_epoch(Recipe.model_validate(run.recipe), run.train_images) if run.train_images else None
