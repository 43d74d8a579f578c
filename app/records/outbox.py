"""The events of a transaction: collected in its session, published to streams and webhooks once it is committed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.records.models import ENDED, Event, Run, table_of

ADD_EVENT = insert(table_of(Event)).returning(Event.id)


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """`id`: of the stored event, by which streams resume; None: not stored."""

    id: int | None
    run: int
    event: str
    data: dict[str, Any]


def record(session: Session, event: OutboxEvent) -> None:
    """Publish an event, without storing it, once this transaction is committed."""
    session.info.setdefault("outbox", []).append(event)


def store(
    session: Session,
    run_id: int,
    attempt: int | None,
    event: str,
    data: dict[str, Any],
    now: datetime,
    *,
    seq: int | None = None,
) -> None:
    """Store an event and publish it, with its id, once this transaction is committed."""
    row = {"run_id": run_id, "attempt": attempt, "seq": seq, "kind": event, "data": data, "at": now}
    event_id = session.connection().execute(ADD_EVENT, row).scalar_one()
    record(session, OutboxEvent(event_id, run_id, event, data))


def store_status(session: Session, run: Run, now: datetime) -> None:
    """Store and publish that a run has changed."""
    store(session, run.id, run.attempt or None, "status", run_summary(run), now)


def run_summary(run: Run) -> dict[str, Any]:
    """What streams and webhooks get when a run changes: enough to redraw a row's head without another request."""
    return {
        "id": run.id,
        "name": run.name,
        "status": str(run.status),
        "requested": run.requested,
        "attempt": run.attempt,
        "last_epoch": run.last_epoch,
        "epochs": run.epochs,
        "best_val_accuracy": run.best_val_accuracy,
        "best_epoch": run.best_epoch,
        "elapsed_seconds": run.elapsed_seconds,
        "failure": run.failure,
        "reason": run.reason,
        "concern": run.concern,
        "ended": run.status in ENDED,
    }


def recorded(session: Session) -> list[OutboxEvent]:
    """In the order in which they were recorded."""
    events: list[OutboxEvent] = session.info.get("outbox", [])
    return events
