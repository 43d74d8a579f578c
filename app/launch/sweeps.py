"""Plans the runs of a sweep and queues them in one transaction, all or none."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.errors import InvalidRecipe, InvalidRequest
from app.json_shapes import MAX_TAGS
from app.records.models import Run
from app.runs import runs
from app.runs.recipes import Resolved, resolve
from app.runs.schemas import LaunchRequest
from trainer.recipe.knob_paths import is_knob

MAX_KNOBS, MAX_RUNS = 2, 100
MAX_PATH_LENGTH = 200
# settings that determine which other settings exist
SHAPES = re.compile(r"(schedule\.kind|model\.name|augment\.\d+\.op)")

PlannedRun = tuple[dict[str, Any], Resolved]  # setting to value, and the whole recipe


@dataclass(frozen=True)
class Axis:
    knob: str  # `schedule.max_lr`, `augment.0.p`
    values: list[Any]  # text if they come from a form


def plan_sweep(
    partial: dict[str, Any],
    preset: str | None,
    axes: Sequence[Axis],
    repeats: int,
    datasets_dir: Path,
    *,
    strict: bool,
) -> list[PlannedRun]:
    """One planned run per point of the sweep, repeats not included; empty without axes. Raises InvalidRecipe."""
    check_axes(axes, repeats)
    if not axes:
        return []
    whole = resolve(preset, partial, datasets_dir, strict=strict).recipe.model_dump(mode="json")
    planned = []
    for point in list_points(axes):
        try:
            planned.append((point, resolve(preset, recipe_with(whole, point, axes), datasets_dir, strict=strict)))
        except InvalidRecipe as problem:
            raise InvalidRecipe(
                [_locate_error(path, sentence, point, axes) for path, sentence in problem.mistakes]
            ) from None
    recipes = [resolved.recipe.model_dump_json() for _, resolved in planned]
    if len(set(recipes)) < len(recipes):
        raise InvalidRecipe([("sweep.0.values", "two of these runs would be the same: leave one of the values out")])
    return planned


def launch_sweep(
    session: Session,
    planned: Sequence[PlannedRun],
    request: LaunchRequest,
    now: datetime,
    *,
    parent_id: int | None = None,
) -> list[Run]:
    """Queue the runs; they share their last tag, `sweep ID`. Raises InvalidRequest if there is no room for that tag."""
    if len(request.tags) == MAX_TAGS:
        raise InvalidRequest([("tags", f"at most {MAX_TAGS - 1}: a sweep adds a tag of its own")])
    queued: list[Run] = []
    for point, resolved in planned:
        name = name_run(request.name or resolved.preset or "", point)
        labels = runs.RunLabels(name, request.tags, request.notes, request.priority)
        queued += runs.launch(session, resolved, labels, now, repeats=request.repeats, parent_id=parent_id)
    for run in queued:
        run.tags = [*request.tags, f"sweep {queued[0].id}"]
    return queued


def fingerprint_plan(planned: Sequence[PlannedRun]) -> str:
    """Identifies exactly these runs, so that the launched ones are those that were listed."""
    text = json.dumps([resolved.recipe.model_dump(mode="json") for _, resolved in planned])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _locate_error(path: str, sentence: str, point: dict[str, Any], axes: Sequence[Axis]) -> tuple[str, str]:
    """An error in a swept setting belongs to its row of the form."""
    for number, axis in enumerate(axes):
        if axis.knob == path:
            return f"sweep.{number}.values", f"{point[path]}: {path} {sentence}"
    return path, sentence


def parse_axes(rows: Sequence[tuple[str, str]]) -> list[Axis]:
    """The axes of a form's rows (setting, comma-separated values); empty rows are skipped. Raises InvalidRecipe."""
    axes = []
    for number, (knob, text) in enumerate(rows):
        values = [value.strip() for value in text.split(",") if value.strip()]
        if knob.strip() or values:
            axes.append(Axis(knob.strip(), values))
            if not knob.strip() or not values:
                field = "values" if knob.strip() else "knob"
                raise InvalidRecipe([(f"sweep.{number}.{field}", "is missing: a sweep needs a setting and its values")])
    return axes


def check_axes(axes: Sequence[Axis], repeats: int = 1) -> None:
    """Raises InvalidRecipe naming the row."""
    for number, axis in enumerate(axes):
        if len(axis.knob) > MAX_PATH_LENGTH or not is_knob(axis.knob):
            raise InvalidRecipe([(f"sweep.{number}.knob", f"{axis.knob[:80]!r} is not a setting of a recipe")])
        if SHAPES.fullmatch(axis.knob):
            sentence = f"{axis.knob} determines which other settings exist: launch a run or a sweep for each"
            raise InvalidRecipe([(f"sweep.{number}.knob", sentence)])
        if any(axis.knob == other.knob for other in axes[:number]):
            raise InvalidRecipe([(f"sweep.{number}.knob", f"{axis.knob} is already swept")])
        if axis.knob == "seed" and repeats > 1:
            raise InvalidRecipe(
                [(f"sweep.{number}.knob", "repeats use several seeds: sweep the seed or repeat, not both")]
            )
    runs = repeats
    for number, axis in enumerate(axes):
        runs *= len(axis.values)
        if runs > MAX_RUNS:
            sentence = f"that makes {runs} runs: at most {MAX_RUNS} can be launched together"
            raise InvalidRecipe([(f"sweep.{number}.values", sentence)])


def list_points(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Setting to value for each run; the last axis changes fastest."""
    return [
        dict(zip([axis.knob for axis in axes], values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def recipe_with(recipe: Mapping[str, Any], point: Mapping[str, Any], axes: Sequence[Axis]) -> dict[str, Any]:
    """The recipe with these settings. Raises InvalidRecipe if it has no such setting (another kind of schedule)."""
    changed: dict[str, Any] = copy.deepcopy(dict(recipe))
    for number, axis in enumerate(axes):
        *parents, last = axis.knob.split(".")
        parent: Any = changed
        for step in parents:
            parent = _child(parent, step)
        if _child(parent, last) is None and not (isinstance(parent, dict) and last in parent):
            sentence = f"this recipe has no {axis.knob}: first choose the part that has it"
            raise InvalidRecipe([(f"sweep.{number}.knob", sentence)])
        parent[int(last) if isinstance(parent, list) else last] = point[axis.knob]
    return changed


def name_run(name: str, point: Mapping[str, Any]) -> str:
    """The name of a sweep's run: `name: max_lr 0.4, p 0.5`."""
    values = ", ".join(f"{knob.rpartition('.')[2]} {value}" for knob, value in point.items())
    return f"{name}: {values}"[:200] if name else values[:200]


def _child(parent: Any, step: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(step)
    if isinstance(parent, list) and step.isdecimal() and int(step) < len(parent):
        return parent[int(step)]
    return None
