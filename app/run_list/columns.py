"""What a list of runs can show, be sorted and be filtered by: a run's columns, its knobs, its accuracy at an epoch.

Keys are words of URLs: `best_val_accuracy`, `recipe.schedule.max_lr`, `counted_accuracy@10`. Must not know HTTP, HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, String, func, select
from sqlalchemy.sql.operators import eq, ge, gt, le, lt

from app.errors import InvalidRequest
from app.metrics import accuracy as counted
from app.records.models import Epoch, Run
from trainer.recipe.knob_paths import is_knob

PLAIN: dict[str, ColumnElement[Any]] = {
    name: getattr(Run, name)
    for name in (
        *("id", "name", "status", "dataset", "preset", "backend", "seed", "epochs", "priority"),
        *("created_at", "started_at", "ended_at", "last_epoch", "best_epoch"),
        *("best_val_accuracy", "best_plain_accuracy", "last_val_accuracy", "last_plain_accuracy"),
        *("time_to_target", "elapsed_seconds", "spent_seconds", "tta_seconds"),
        *("energy_wh", "hardware", "worker", "failure"),
    )
}
TIMES = {"created_at", "started_at", "ended_at"}
WORDS = {key for key, column in PLAIN.items() if isinstance(column.type, String)}
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": le,
    ">=": ge,
    "=": eq,
    "<": lt,
    ">": gt,
    "!=": lambda column, value: column.is_distinct_from(value),  # null is another thing, too
}
CONDITION = re.compile(r"\s*([a-z][\w.@]*)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.ASCII | re.DOTALL)
AT_EPOCHS: dict[str, ColumnElement[Any]] = {
    "counted_accuracy": counted.ACCURACY,
    "val_accuracy": Epoch.val_accuracy.expression,
}
EPOCH = re.compile(r"[1-9]\d{0,5}", re.ASCII)


def column(key: str, field: str) -> ColumnElement[Any]:
    """What stands behind a key. Raises InvalidRequest naming `field` where there is no such thing."""
    if (plain := PLAIN.get(key)) is not None:
        return plain
    if key.startswith("recipe.") and is_knob(path := key.removeprefix("recipe.")):
        return func.json_extract(Run.recipe, _json_path(path))
    name, _, epoch = key.partition("@")
    if name in AT_EPOCHS and EPOCH.fullmatch(epoch):
        return _at(AT_EPOCHS[name], int(epoch))
    known = ", ".join([*PLAIN, "recipe.KNOB", *(f"{name}@EPOCH" for name in AT_EPOCHS)])
    raise InvalidRequest([(field, f"there is no {key[:80]!r}; these work: {known}")])


def condition(text: str, field: str = "where") -> ColumnElement[bool]:
    """`recipe.schedule.max_lr>=0.2` as SQL. Raises InvalidRequest naming `field`."""
    parts = CONDITION.fullmatch(text)
    if parts is None:
        words = f"{text[:80]!r} is no condition: write KEY=VALUE, with one of {' '.join(OPERATORS)}"
        raise InvalidRequest([(field, words)])
    key, operator, said = parts.groups()
    found, value = column(key, field), _value(key, said, field)
    if value is None:
        if operator not in {"=", "!="}:
            raise InvalidRequest([(field, f"{text[:80]!r}: null is neither more nor less than anything")])
        return found.is_(None) if operator == "=" else found.is_not(None)
    made: ColumnElement[bool] = OPERATORS[operator](found, value)
    return made


def _value(key: str, said: str, field: str) -> Any:
    """JSON where it is some, else a word; a column of words holds words, or null. SQLite keeps true as 1."""
    if said == "null":
        return None
    if key in TIMES:
        return _time(said, field)
    try:
        value = json.loads(said)
    except ValueError:
        value = said
    if key in WORDS and not isinstance(value, str):
        value = said
    if isinstance(value, str) and not value.isprintable():  # among these half characters, which no database takes
        raise InvalidRequest([(field, "holds what cannot be printed")])
    if isinstance(value, bool):
        return int(value)
    if not key.startswith("recipe.") and key not in WORDS and not isinstance(value, int | float):
        raise InvalidRequest([(field, f"{key} is a number, and {said[:40]!r} is none")])
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(value)
    return value if isinstance(value, int | float | str) or value is None else said


def _time(said: str, field: str) -> datetime:
    try:
        time = datetime.fromisoformat(said)
        if time.tzinfo is None:
            raise InvalidRequest([(field, f"{said[:40]!r} has no time zone: add +00:00")])
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest([(field, f"{said[:40]!r} is no time: write 2026-01-31T12:00+00:00")]) from None


def _json_path(path: str) -> str:
    """`augment.0.p` as SQLite writes it: `$.augment[0].p`."""
    steps = (f"[{step}]" if step.isdecimal() else f".{step}" for step in path.split("."))
    return "$" + "".join(steps)


def _at(accuracy: ColumnElement[Any], epoch: int) -> ColumnElement[Any]:
    """An accuracy of an epoch: of the latest attempt that has it. All of it lies in one index, run beside run."""
    since = Epoch.attempt >= Run.trail_from  # a retry from scratch begins a new curve
    found = select(accuracy).where(Epoch.run_id == Run.id, Epoch.epoch == epoch, since)
    return found.order_by(Epoch.attempt.desc()).limit(1).correlate(Run).scalar_subquery()
