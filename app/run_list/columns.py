"""The columns of the list of runs: one table for display, export, sorting and filtering.

Keys appear in URLs: `best_val_accuracy`, `recipe.schedule.max_lr`, `counted_accuracy@10`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.operators import eq, ge, gt, le, lt

from app.errors import InvalidRequest
from app.metrics.accuracy import RANKING_ACCURACY
from app.records.models import Epoch, Run
from app.records.sqlite import json_value
from trainer.recipe.knob_paths import is_knob, titles

Unit = Literal["share", "seconds", "time", "Wh", "number", "word"]

MAX_COLUMNS = 40


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    unit: Unit
    sql: ColumnElement[Any] | None = field(default=None, compare=False, repr=False)  # None: cannot be sorted by
    is_default: bool = field(default=False, compare=False)

    @property
    def can_sort(self) -> bool:
        return self.sql is not None


def _column(key: str, title: str, unit: Unit, *, is_default: bool = False) -> Column:
    return Column(key, title, unit, getattr(Run, key, None), is_default)


# First in every row.
ALWAYS = {
    one.key: one
    for one in (_column("id", "Run", "number"), _column("name", "Name", "word"), _column("status", "Status", "word"))
}

COLUMNS = {
    one.key: one
    for one in (
        _column("best_val_accuracy", "Best accuracy", "share", is_default=True),
        _column("best_plain_accuracy", "Best accuracy without TTA", "share"),
        _column("last_val_accuracy", "Last accuracy", "share"),
        _column("last_plain_accuracy", "Last accuracy without TTA", "share"),
        _column("best_epoch", "Best epoch", "number"),
        _column("time_to_target", "Time to target", "seconds"),
        _column("elapsed_seconds", "Training time", "seconds", is_default=True),
        _column("spent_seconds", "Total incl. failed attempts", "seconds"),
        _column("tta_seconds", "TTA time", "seconds"),
        _column("left", "ETA", "seconds", is_default=True),  # known only while a run trains
        _column("energy_wh", "Energy", "Wh"),
        _column("last_epoch", "Last epoch", "number"),
        _column("epochs", "Planned epochs", "number"),
        _column("seed", "Seed", "number"),
        _column("dataset", "Data set", "word"),
        _column("preset", "Preset", "word"),
        _column("backend", "Backend", "word"),
        _column("hardware", "Hardware", "word"),
        _column("worker", "Worker", "word"),
        _column("priority", "Priority", "number"),
        _column("failure", "Failure", "word"),
        _column("concern", "Concern", "word"),  # why the result of a finished run may be worthless
        _column("created_at", "Launched", "time", is_default=True),
        _column("started_at", "Started", "time"),
        _column("ended_at", "Ended", "time"),
    )
}
DEFAULT_COLUMNS = [one for one in COLUMNS.values() if one.is_default]

# Accuracy used for ranking -> the same without test-time augmentation.
WITHOUT_TTA = {
    "best_val_accuracy": "best_plain_accuracy",
    "last_val_accuracy": "last_plain_accuracy",
    "counted_accuracy": "val_accuracy",
}
# Accuracy -> the epoch that it is of.
EPOCH_OF = {"best_val_accuracy": "best_epoch", "last_val_accuracy": "last_epoch"}
AT_EPOCH: dict[str, tuple[str, ColumnElement[Any]]] = {
    "counted_accuracy": ("Accuracy", RANKING_ACCURACY),
    "val_accuracy": ("Accuracy without TTA", Epoch.val_accuracy.expression),
}
EPOCH = re.compile(r"[1-9]\d{0,5}", re.ASCII)

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": le,
    ">=": ge,
    "=": eq,
    "<": lt,
    ">": gt,
    "!=": lambda column, value: column.is_distinct_from(value),  # also true for runs without a value
}
CONDITION = re.compile(r"\s*([a-z][\w.@]*)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.ASCII | re.DOTALL)


def find_column(key: str, parameter: str = "column") -> Column:
    """The column behind a key. Raises InvalidRequest that names the query `parameter`."""
    if (found := COLUMNS.get(key) or ALWAYS.get(key)) is not None:
        return found
    if key.startswith("recipe.") and is_knob(path := key.removeprefix("recipe.")):
        return Column(key, setting_title(path), "word", json_value(Run.recipe, path))
    name, _, epoch = key.partition("@")
    if name in AT_EPOCH and EPOCH.fullmatch(epoch):
        title, accuracy = AT_EPOCH[name]
        return Column(key, f"{title} at {epoch}", "share", _accuracy_at_epoch(accuracy, int(epoch)))
    shown = [*ALWAYS, *(key for key, one in COLUMNS.items() if one.can_sort or parameter == "column")]
    known = ", ".join([*shown, "recipe.SETTING", *(f"{name}@EPOCH" for name in AT_EPOCH)])
    raise InvalidRequest([(parameter, f"there is no column {key[:80]!r}; there are {known}")])


def sort_key(key: str, parameter: str) -> ColumnElement[Any]:
    """The SQL to sort and filter by. Raises InvalidRequest if there is none."""
    if (found := find_column(key, parameter).sql) is None:
        raise InvalidRequest([(parameter, f"{key!r} is known only while a run trains: choose another column")])
    return found


def parse_condition(text: str, parameter: str = "where") -> ColumnElement[bool]:
    """`recipe.schedule.max_lr>=0.2` as SQL. Raises InvalidRequest that names the query `parameter`."""
    parts = CONDITION.fullmatch(text)
    if parts is None:
        words = f"{text[:80]!r} is not a condition: write KEY=VALUE, with one of {' '.join(OPERATORS)}"
        raise InvalidRequest([(parameter, words)])
    key, operator, text_value = parts.groups()
    found, value = sort_key(key, parameter), _compared_value(find_column(key, parameter), text_value, parameter)
    if value is None:
        if operator not in {"=", "!="}:
            raise InvalidRequest([(parameter, f"{text[:80]!r}: null can only be compared by = or !=")])
        return found.is_(None) if operator == "=" else found.is_not(None)
    compared: ColumnElement[bool] = OPERATORS[operator](found, value)
    return compared


def explain_accuracies(chosen: Sequence[Column]) -> list[Column]:
    """Add to each accuracy its epoch and the one without TTA and, after all columns, the setting `tta`."""
    keys: list[str] = []
    for one in chosen:
        name, at, epoch = one.key.partition("@")
        keys += [one.key, *([f"{WITHOUT_TTA[name]}{at}{epoch}"] if name in WITHOUT_TTA else [])]
        keys += [EPOCH_OF[name]] if name in EPOCH_OF else []
    if any(one.key.partition("@")[0] in WITHOUT_TTA for one in chosen):
        keys.append("recipe.tta")
    return [find_column(key) for key in dict.fromkeys(keys)]


def column_values(session: Session, runs: Sequence[Run], wanted: Sequence[Column]) -> dict[int, list[Any]]:
    """Values by run id, in the order of `wanted`; None for a missing value. Only columns `…@EPOCH` cost a query."""
    at_epochs = [one for one in wanted if "@" in one.key]
    found: Mapping[int, Mapping[str, Any]] = {}
    if at_epochs and runs:
        query = select(Run.id, *(one.sql.label(one.key) for one in at_epochs if one.sql is not None))
        rows = session.execute(query.where(Run.id.in_([run.id for run in runs])))
        found = {row.id: dict(row._mapping) for row in rows}
    return {run.id: [_value(run, one.key, found.get(run.id, {})) for one in wanted] for run in runs}


@cache
def setting_title(path: str) -> str:
    """The title in the form; the path itself if two settings share a title."""
    known = titles()
    title = known.get(path)
    return title if title and sum(one == title for one in known.values()) == 1 else path


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


def _compared_value(column: Column, text: str, parameter: str) -> Any:
    """JSON if it parses, else text; for a text column always text or None. True becomes 1, as SQLite stores it."""
    is_setting, is_word = column.key.startswith("recipe."), column.unit == "word"
    if text == "null":
        return None
    if column.unit == "time":
        return _time(text, parameter)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if is_word and not is_setting and not isinstance(value, str):
        value = text
    if isinstance(value, str) and not value.isprintable():  # includes lone surrogates, which the database refuses
        raise InvalidRequest([(parameter, "must not contain control characters")])
    if isinstance(value, bool):
        return int(value)
    if not is_word and not isinstance(value, int | float):
        raise InvalidRequest([(parameter, f"{column.key} is a number, and {text[:40]!r} is not")])
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(value)
    return value if isinstance(value, int | float | str) or value is None else text


def _time(text: str, parameter: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise InvalidRequest([(parameter, f"{text[:40]!r} has no time zone: add +00:00")])
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest([(parameter, f"{text[:40]!r} is not a time: write 2026-01-31T12:00+00:00")]) from None


def _accuracy_at_epoch(accuracy: ColumnElement[Any], epoch: int) -> ColumnElement[Any]:
    """The accuracy in the latest attempt that has this epoch, from one covering index."""
    since = Epoch.attempt >= Run.trail_from  # a retry from scratch begins a new curve
    found = select(accuracy).where(Epoch.run_id == Run.id, Epoch.epoch == epoch, since)
    return found.order_by(Epoch.attempt.desc()).limit(1).correlate(Run).scalar_subquery()
