"""From a sweep to queued runs: first the whole list, then all of them in one transaction or none.

Must not know HTTP or HTML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.errors import InvalidRecipe, InvalidRequest
from app.launch import sweep_points
from app.records.models import Run
from app.runs import runs
from app.runs.recipes import Resolved, resolve
from app.runs.schemas import MOST_TAGS, RunAsked
from app.web.deps import State

Planned = tuple[dict[str, Any], Resolved]  # knob to value, and the whole recipe


def planned(
    partial: dict[str, Any],
    preset: str | None,
    axes: Sequence[sweep_points.Axis],
    repeats: int,
    here: State,
    *,
    strict: bool,
) -> list[Planned]:
    """The runs of a sweep without their repeats; none without axes. Raises InvalidRecipe."""
    sweep_points.check(axes, repeats)
    if not axes:
        return []
    root = here.settings.datasets_dir
    whole = resolve(preset, partial, root, strict=strict).recipe.model_dump(mode="json")
    found = []
    for point in sweep_points.points(axes):
        try:
            found.append((point, resolve(preset, sweep_points.at(whole, point, axes), root, strict=strict)))
        except InvalidRecipe as problem:
            raise InvalidRecipe([_at(path, sentence, point, axes) for path, sentence in problem.mistakes]) from None
    seen = [resolved.recipe.model_dump_json() for _, resolved in found]
    if len(set(seen)) < len(seen):
        raise InvalidRecipe([("sweep.0.values", "two of these runs would be the same: leave one of the values out")])
    return found


def launch(
    session: Session, found: Sequence[Planned], asked: RunAsked, now: datetime, *, parent_id: int | None = None
) -> list[Run]:
    """Queue them; the last of their tags is the one that they share. Raises InvalidRequest where it has no place."""
    if len(asked.tags) == MOST_TAGS:
        raise InvalidRequest([("tags", f"one place is the sweep's own: at most {MOST_TAGS - 1}")])
    made: list[Run] = []
    for point, resolved in found:
        name = sweep_points.named(asked.name or resolved.preset or "", point)
        labels = runs.Labels(name, asked.tags, asked.notes, asked.priority)
        made += runs.launch(session, resolved, labels, now, repeats=asked.repeats, parent_id=parent_id)
    for run in made:
        run.tags = [*asked.tags, f"sweep {made[0].id}"]
    return made


def mark(found: Sequence[Planned]) -> str:
    """Of exactly these runs: what was shown is what is launched."""
    text = json.dumps([resolved.recipe.model_dump(mode="json") for _, resolved in found])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _at(path: str, sentence: str, point: dict[str, Any], axes: Sequence[sweep_points.Axis]) -> tuple[str, str]:
    """A mistake in a knob that is swept belongs to its row."""
    for number, axis in enumerate(axes):
        if axis.knob == path:
            return f"sweep.{number}.values", f"{point[path]}: {path} {sentence}"
    return path, sentence
