"""The report that comes most: steps and epochs of a run that gets on. What reports.report does, in five statements.

Statements made once, over single columns: no rows become objects, no recipe is read. Whatever is not ordinary (a lost
attempt, a repetition, a gap, any other event, an epoch that an earlier attempt has too) is left to reports.py whole.
Must not know HTTP or the streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from app.metrics import accuracy, progress
from app.records.models import HELD, Attempt, Epoch, Run
from app.records.models import Event as Row
from app.records.sqlite import json_value
from trainer.events import EpochEnded, Event, Step

KEPT = (
    Run.last_epoch,
    Run.last_val_accuracy,
    Run.last_plain_accuracy,
    Run.elapsed_seconds,
    Run.spent_seconds,
    Run.best_val_accuracy,
    Run.best_plain_accuracy,
    Run.best_epoch,
    Run.time_to_target,
    Run.tta_seconds,
    Run.energy_wh,
    Run.milestones,
)  # the columns of a run that an epoch moves
EPOCH_COLUMNS = set(Epoch.__table__.columns.keys())

HELD_NOW = (
    select(
        *(Run.id, Run.status, Run.epochs, Run.trail_from, *KEPT),
        json_value(Run.recipe, "target_accuracy").label("target"),
        json_value(Run.recipe, "tta").label("tta"),
        *(Attempt.outcome, Attempt.next_seq, Attempt.log_size),
    )
    .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
    .where(Run.id == bindparam("run"), Run.attempt == bindparam("number"))
)
SAID_BEFORE = select(
    exists().where(
        Epoch.run_id == bindparam("run"),
        Epoch.epoch >= bindparam("first"),
        or_(
            and_(Epoch.attempt == bindparam("number"), Epoch.epoch <= bindparam("last")),
            and_(Epoch.attempt < bindparam("number"), Epoch.attempt >= bindparam("since")),
        ),
    )
)
RECENT = (
    select(Epoch.seconds + Epoch.val_seconds)
    .where(Epoch.run_id == bindparam("run"))
    .order_by(Epoch.id.desc())
    .limit(progress.RECENT_EPOCHS)
)
ADD_EPOCH = insert(Epoch.__table__)  # type: ignore[arg-type]  # a table, though its type says FromClause
ADD_EVENT = insert(Row.__table__).returning(Row.id)  # type: ignore[arg-type]
MOVE_RUN = update(Run.__table__).where(Run.id == bindparam("run"))  # type: ignore[arg-type]
MOVE_ATTEMPT = update(Attempt.__table__).where(  # type: ignore[arg-type]
    Attempt.run_id == bindparam("run"), Attempt.number == bindparam("of")
)


def take(
    session: Session, run_id: int, number: int, first_seq: int, events: Sequence[Event], now: datetime
) -> tuple[int, int] | None:
    """(The sequence number expected next, bytes of log so far); None where the report is not ordinary: nothing is
    written then."""
    if not all(isinstance(event, Step | EpochEnded) for event in events):
        return None
    if any(isinstance(event, EpochEnded) and event.predictions for event in events):
        return None  # once in a run
    connection = session.connection()
    held = connection.execute(HELD_NOW, {"run": run_id, "number": number}).mappings().first()
    if held is None or held["outcome"] is not None or held["status"] not in HELD or held["next_seq"] != first_seq:
        return None
    epochs = [event.epoch for event in events if isinstance(event, EpochEnded)]
    if epochs and not _are_new(connection, run_id, (held["trail_from"], number), epochs):
        return None
    run: Any = SimpleNamespace(**held, recipe={"target_accuracy": held["target"], "tta": held["tta"]})
    told: list[dict[str, Any]] = session.info.setdefault("told", [])
    for seq, event in enumerate(accuracy.drop_unrequested_tta(events, run.recipe), first_seq):
        if isinstance(event, Step):
            step = progress.describe_step(run, event, recent(connection, run_id))
            told.append({"id": None, "run": run_id, "event": "step", "data": step})
        elif isinstance(event, EpochEnded):
            data = event.model_dump(mode="json", exclude={"predictions", "confidences"})
            columns = {key: value for key, value in data.items() if key in EPOCH_COLUMNS}
            connection.execute(ADD_EPOCH, columns | {"run_id": run_id, "attempt": number, "at": now})
            progress.apply_epoch(run, event)
            data |= {"attempt": number, "elapsed_seconds": run.elapsed_seconds, "run": run_id}
            row = {"run_id": run_id, "attempt": number, "seq": seq, "kind": event.event, "data": data, "at": now}
            told.append(
                {
                    "id": connection.execute(ADD_EVENT, row).scalar_one(),
                    "run": run_id,
                    "event": event.event,
                    "data": data,
                }
            )
    if epochs:
        connection.execute(MOVE_RUN, {"run": run_id} | {column.key: getattr(run, column.key) for column in KEPT})
    next_seq = first_seq + len(events)
    connection.execute(MOVE_ATTEMPT, {"run": run_id, "of": number, "next_seq": next_seq})
    return next_seq, held["log_size"]


def recent(connection: Connection, run_id: int) -> Sequence[float]:
    """Seconds that the latest epochs took, validation included."""
    return connection.execute(RECENT, {"run": run_id}).scalars().all()


def _are_new(connection: Connection, run_id: int, attempts: tuple[int, int], epochs: Sequence[int]) -> bool:
    """Whether they rise, the attempt has no row of them, and none before it in its trail has one of them or of later
    ones: then the run's curve only grows. `attempts`: the trail's first and the present one."""
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        return False
    since, number = attempts
    asked = {"run": run_id, "number": number, "since": since, "first": epochs[0], "last": epochs[-1]}
    return not connection.execute(SAID_BEFORE, asked).scalar_one()
