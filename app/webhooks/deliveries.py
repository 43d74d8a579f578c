"""The queue of webhook deliveries, in the database: a restart or a hook that is down loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.records.models import ENDED, Delivery, Run, table_of
from app.records.outbox import run_summary
from app.records.sqlite import insert_or_ignore
from app.settings import Webhook

RETRY_DELAYS_S = (10, 60, 300, 1800, 7200)  # after each failed try; then it is given up
LOG_ROWS = 500  # latest deliveries that are kept
MAX_AGE = timedelta(days=1)  # runs that ended earlier are not sent


def enqueue_ended_runs(session: Session, hooks: Sequence[Webhook], now: datetime) -> None:
    """Queue each run that ended since a hook's first delivery, once for each attempt."""
    for hook in hooks:
        first_delivery = session.scalar(select(func.min(Delivery.at)).where(Delivery.hook == hook.key))
        if first_delivery is None:  # a new hook: it gets a test message, and runs that end from now on
            enqueue_test(session, hook, now)
            continue
        since = max(first_delivery, now - MAX_AGE)
        queued = select(Delivery.id).where(
            Delivery.hook == hook.key, Delivery.run_id == Run.id, Delivery.attempt == Run.attempt,
            Delivery.status == Run.status,
        )  # fmt: skip
        ended = select(Run).where(Run.status.in_(ENDED), Run.ended_at >= since, ~queued.exists())
        for run in session.scalars(ended.order_by(Run.ended_at)):
            _enqueue(session, hook, run, now)


def enqueue_test(session: Session, hook: Webhook, now: datetime) -> None:
    _enqueue(session, hook, None, now)


def load_due(session: Session, hooks: Sequence[Webhook], now: datetime) -> list[tuple[int, Webhook, dict[str, object]]]:
    """(delivery, hook, summary of the run) of deliveries to try now, oldest first; the summary is empty for a test."""
    by_key = {hook.key: hook for hook in hooks}
    is_due = (Delivery.outcome == "waits", Delivery.next_at <= now, Delivery.hook.in_(by_key))
    rows = session.scalars(select(Delivery).where(*is_due).order_by(Delivery.id).limit(50))
    return [(row.id, by_key[row.hook], row.told) for row in rows]


def record_attempt(session: Session, delivery_id: int, error: str | None, now: datetime) -> None:
    """`error`: why it was not delivered; None: it was. Does nothing if the delivery was deleted along with its run."""
    row = session.get(Delivery, delivery_id)
    if row is None:
        return
    row.tries, row.answer = row.tries + 1, error
    if error is None or row.tries > len(RETRY_DELAYS_S):
        row.outcome, row.ended_at = ("delivered" if error is None else "given_up"), now
        keep = select(Delivery.id).order_by(Delivery.id.desc()).limit(LOG_ROWS)
        session.execute(delete(Delivery).where(Delivery.outcome != "waits", Delivery.id.not_in(keep)))
    else:
        row.next_at = now + timedelta(seconds=RETRY_DELAYS_S[row.tries - 1])


def load_log(session: Session, limit: int = 50) -> Sequence[Delivery]:
    return session.scalars(select(Delivery).order_by(Delivery.id.desc()).limit(limit)).all()


def _enqueue(session: Session, hook: Webhook, run: Run | None, now: datetime) -> None:
    values = {
        "hook": hook.key, "kind": hook.kind, "host": hook.host[:300], "at": now, "next_at": now, "tries": 0,
        "outcome": "waits", "run_id": run.id if run else None, "attempt": run.attempt if run else None,
        "status": str(run.status) if run else "test", "told": run_summary(run) if run else {},
    }  # fmt: skip
    session.execute(insert_or_ignore(table_of(Delivery)).values(values))
