"""What a table of runs can show of each run: columns, their titles and units, and the values of many runs.

A key is one that columns.py can sort by, or `left`: seconds to go, known only while a run trains. Must not know HTTP or
HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records.models import Run
from app.run_list import columns
from trainer.recipe.knob_paths import titles

MOST = 40
LEFT = "left"
USUAL = ("best_val_accuracy", "elapsed_seconds", LEFT, "created_at")

Unit = Literal["share", "seconds", "time", "Wh", "number", "word"]
PLAIN: dict[str, tuple[str, Unit]] = {
    "best_val_accuracy": ("Best accuracy", "share"),
    "best_plain_accuracy": ("Best accuracy, plain", "share"),
    "last_val_accuracy": ("Last accuracy", "share"),
    "last_plain_accuracy": ("Last accuracy, plain", "share"),
    "best_epoch": ("Best epoch", "number"),
    "time_to_target": ("Time to target", "seconds"),
    "elapsed_seconds": ("Training time", "seconds"),
    "spent_seconds": ("With lost attempts", "seconds"),
    "tta_seconds": ("Of test-time augmentation", "seconds"),
    LEFT: ("Left", "seconds"),
    "energy_wh": ("Energy", "Wh"),
    "last_epoch": ("Last epoch", "number"),
    "epochs": ("Planned epochs", "number"),
    "seed": ("Seed", "number"),
    "dataset": ("Data set", "word"),
    "preset": ("Preset", "word"),
    "backend": ("Backend", "word"),
    "hardware": ("Hardware", "word"),
    "worker": ("Worker", "word"),
    "priority": ("Priority", "number"),
    "failure": ("Failure", "word"),
    "created_at": ("Launched", "time"),
    "started_at": ("Started", "time"),
    "ended_at": ("Ended", "time"),
}

# Beside each accuracy that counts.
PLAIN_OF = {
    "best_val_accuracy": "best_plain_accuracy",
    "last_val_accuracy": "last_plain_accuracy",
    "counted_accuracy": "val_accuracy",
}


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    unit: Unit

    @property
    def can_sort(self) -> bool:
        return self.key != LEFT


def column(key: str) -> Column:
    """Raises InvalidRequest naming `column`."""
    if key in PLAIN:
        return Column(key, *PLAIN[key])
    columns.column(key, "column")
    if key.startswith("recipe."):
        return Column(key, knob_title(key.removeprefix("recipe.")), "word")
    name, _, epoch = key.partition("@")
    if epoch:
        return Column(key, f"{'Plain accuracy' if name == 'val_accuracy' else 'Accuracy'} at {epoch}", "share")
    return Column(key, name.capitalize(), "word")


def with_plain(chosen: Sequence[Column]) -> list[Column]:
    """Each accuracy that counts with the plain one after it, and at the end by which views it counts."""
    keys: list[str] = []
    for one in chosen:
        name, at, epoch = one.key.partition("@")
        keys += [one.key, *([f"{PLAIN_OF[name]}{at}{epoch}"] if name in PLAIN_OF else [])]
    if len(keys) > len(chosen):
        keys.append("recipe.tta")
    return [column(key) for key in dict.fromkeys(keys)]


def usual() -> list[Column]:
    """Where nobody chose."""
    return [column(key) for key in USUAL]


@cache
def knob_title(path: str) -> str:
    """`schedule.max_lr` as the form calls it, or by its path where that would not tell it from others."""
    known = titles()
    title = known.get(path)
    return title if title and sum(one == title for one in known.values()) == 1 else path


def values(session: Session, runs: Sequence[Run], wanted: Sequence[Column]) -> dict[int, list[Any]]:
    """By run, in the order of `wanted`; None where a run has no such thing. Only what is at an epoch costs a query."""
    at_epochs = [one.key for one in wanted if "@" in one.key]
    found: Mapping[int, Mapping[str, Any]] = {}
    if at_epochs and runs:
        asked = select(Run.id, *(columns.column(key, "column").label(key) for key in at_epochs))
        rows = session.execute(asked.where(Run.id.in_([run.id for run in runs])))
        found = {row.id: dict(row._mapping) for row in rows}
    return {run.id: [_value(run, one.key, found.get(run.id, {})) for one in wanted] for run in runs}


def _value(run: Run, key: str, at_epochs: Mapping[str, Any]) -> Any:
    if "@" in key:
        return at_epochs.get(key)
    if not key.startswith("recipe."):
        return getattr(run, key, None)
    place: Any = run.recipe
    for step in key.split(".")[1:]:
        if isinstance(place, dict):
            place = place.get(step)
        else:
            at = int(step) if isinstance(place, list) and step.isdecimal() else None
            place = place[at] if at is not None and at < len(place) else None
    return place
