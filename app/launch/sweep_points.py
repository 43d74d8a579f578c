"""One recipe at several values of one or two knobs: which runs that makes. Pure; must not know the records or HTTP."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidRecipe
from trainer.recipe.knob_paths import is_knob

MOST_KNOBS, MOST_RUNS = 2, 100
LONGEST = 200  # letters of a knob's path
SHAPES = re.compile(r"(schedule\.kind|model\.name|augment\.\d+\.op)")  # these decide which other knobs there are


@dataclass(frozen=True)
class Axis:
    knob: str  # `schedule.max_lr`, `augment.0.p`
    values: list[Any]  # text where a form said them


def from_text(rows: Sequence[tuple[str, str]]) -> list[Axis]:
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


def check(axes: Sequence[Axis], repeats: int = 1) -> None:
    """Raises InvalidRecipe naming the row."""
    for number, axis in enumerate(axes):
        if len(axis.knob) > LONGEST or not is_knob(axis.knob):
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
        if runs > MOST_RUNS:
            words = f"that makes {runs} runs, and at most {MOST_RUNS} are launched together"
            raise InvalidRecipe([(f"sweep.{number}.values", words)])


def points(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Knob to value, for each run; the last axis changes fastest."""
    return [
        dict(zip([axis.knob for axis in axes], values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def at(recipe: Mapping[str, Any], point: Mapping[str, Any], axes: Sequence[Axis]) -> dict[str, Any]:
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


def named(name: str, point: Mapping[str, Any]) -> str:
    """What a run of the sweep is called."""
    said = ", ".join(f"{knob.rpartition('.')[2]} {value}" for knob, value in point.items())
    return f"{name}: {said}"[:200] if name else said[:200]


def _below(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    return None
