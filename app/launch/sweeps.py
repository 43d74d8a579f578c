"""From a sweep to queued runs: first the whole list, then all of them in one transaction or none.

Must not know HTTP or HTML.
"""

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

Planned = tuple[dict[str, Any], Resolved]  # knob to value, and the whole recipe


def plan_sweep(
    partial: dict[str, Any],
    preset: str | None,
    axes: Sequence[Axis],
    repeats: int,
    datasets_dir: Path,
    *,
    strict: bool,
) -> list[Planned]:
    """The runs of a sweep without their repeats; none without axes. Raises InvalidRecipe."""
    check_axes(axes, repeats)
    if not axes:
        return []
    whole = resolve(preset, partial, datasets_dir, strict=strict).recipe.model_dump(mode="json")
    found = []
    for point in list_points(axes):
        try:
            found.append((point, resolve(preset, recipe_at(whole, point, axes), datasets_dir, strict=strict)))
        except InvalidRecipe as problem:
            raise InvalidRecipe([_at(path, sentence, point, axes) for path, sentence in problem.mistakes]) from None
    seen = [resolved.recipe.model_dump_json() for _, resolved in found]
    if len(set(seen)) < len(seen):
        raise InvalidRecipe([("sweep.0.values", "two of these runs would be the same: leave one of the values out")])
    return found


def launch(
    session: Session, found: Sequence[Planned], asked: LaunchRequest, now: datetime, *, parent_id: int | None = None
) -> list[Run]:
    """Queue them; the last of their tags is the one that they share. Raises InvalidRequest where it has no place."""
    if len(asked.tags) == MAX_TAGS:
        raise InvalidRequest([("tags", f"one place is the sweep's own: at most {MAX_TAGS - 1}")])
    made: list[Run] = []
    for point, resolved in found:
        name = run_name(asked.name or resolved.preset or "", point)
        labels = runs.RunLabels(name, asked.tags, asked.notes, asked.priority)
        made += runs.launch(session, resolved, labels, now, repeats=asked.repeats, parent_id=parent_id)
    for run in made:
        run.tags = [*asked.tags, f"sweep {made[0].id}"]
    return made


def fingerprint_plan(found: Sequence[Planned]) -> str:
    """Of exactly these runs: what was shown is what is launched."""
    text = json.dumps([resolved.recipe.model_dump(mode="json") for _, resolved in found])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _at(path: str, sentence: str, point: dict[str, Any], axes: Sequence[Axis]) -> tuple[str, str]:
    """A mistake in a knob that is swept belongs to its row."""
    for number, axis in enumerate(axes):
        if axis.knob == path:
            return f"sweep.{number}.values", f"{point[path]}: {path} {sentence}"
    return path, sentence


MAX_KNOBS, MAX_RUNS = 2, 100


MAX_PATH_LETTERS = 200  # letters of a knob's path


SHAPES = re.compile(r"(schedule\.kind|model\.name|augment\.\d+\.op)")  # these decide which other knobs there are


@dataclass(frozen=True)
class Axis:
    knob: str  # `schedule.max_lr`, `augment.0.p`
    values: list[Any]  # text where a form said them


def parse_axes(rows: Sequence[tuple[str, str]]) -> list[Axis]:
    """Of a form's rows (knob, values separated by commas); empty rows are none. Raises InvalidRecipe."""
    found = []
    for number, (knob, text) in enumerate(rows):
        values = [value.strip() for value in text.split(",") if value.strip()]
        if knob.strip() or values:
            found.append(Axis(knob.strip(), values))
            if not knob.strip() or not values:
                field = "values" if knob.strip() else "knob"
                raise InvalidRecipe([(f"sweep.{number}.{field}", "is missing: a sweep is a knob and its values")])
    return found


def check_axes(axes: Sequence[Axis], repeats: int = 1) -> None:
    """Raises InvalidRecipe naming the row."""
    for number, axis in enumerate(axes):
        if len(axis.knob) > MAX_PATH_LETTERS or not is_knob(axis.knob):
            raise InvalidRecipe([(f"sweep.{number}.knob", f"{axis.knob[:80]!r} is no knob of a recipe")])
        if SHAPES.fullmatch(axis.knob):
            words = f"{axis.knob} decides which other knobs there are: launch a run, or a sweep, for each"
            raise InvalidRecipe([(f"sweep.{number}.knob", words)])
        if any(axis.knob == other.knob for other in axes[:number]):
            raise InvalidRecipe([(f"sweep.{number}.knob", f"{axis.knob} is swept already")])
        if axis.knob == "seed" and repeats > 1:
            raise InvalidRecipe([(f"sweep.{number}.knob", "repeats choose the seeds: sweep them or repeat")])
    runs = repeats
    for number, axis in enumerate(axes):
        runs *= len(axis.values)
        if runs > MAX_RUNS:
            words = f"that makes {runs} runs, and at most {MAX_RUNS} are launched together"
            raise InvalidRecipe([(f"sweep.{number}.values", words)])


def list_points(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Knob to value, for each run; the last axis changes fastest."""
    return [
        dict(zip([axis.knob for axis in axes], values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def recipe_at(recipe: Mapping[str, Any], point: Mapping[str, Any], axes: Sequence[Axis]) -> dict[str, Any]:
    """The recipe with these knobs. Raises InvalidRecipe where it has no such place (another kind of schedule)."""
    made: dict[str, Any] = copy.deepcopy(dict(recipe))
    for number, axis in enumerate(axes):
        *parents, last = axis.knob.split(".")
        place: Any = made
        for step in parents:
            place = _below(place, step)
        if _below(place, last) is None and not (isinstance(place, dict) and last in place):
            words = f"this recipe has no {axis.knob}: choose what has it first"
            raise InvalidRecipe([(f"sweep.{number}.knob", words)])
        place[int(last) if isinstance(place, list) else last] = point[axis.knob]
    return made


def run_name(name: str, point: Mapping[str, Any]) -> str:
    """What a run of the sweep is called."""
    said = ", ".join(f"{knob.rpartition('.')[2]} {value}" for knob, value in point.items())
    return f"{name}: {said}"[:200] if name else said[:200]


def _below(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    return None
