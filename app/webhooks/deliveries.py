"""What webhooks are to be told, in the records: so that a restart or a hook that is down loses nothing.

Must not know HTTP or how anything is sent (courier.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.records.models import ENDED, Delivery, Run
from app.records.sqlite import insert_or_ignore
from app.runs.runs import brief
from app.settings import Hook

WAITS_S = (10, 60, 300, 1800, 7200)  # after each try; then it is given up
LOG_ROWS = 500  # of the log
LOOKED_BACK = timedelta(days=1)  # a run that ended before is no news


def note_ended(session: Session, hooks: Sequence[Hook], now: datetime) -> None:
    """Each run that has ended since a hook was first told of anything is to be told to it, once for each attempt."""
    for hook in hooks:
        known_since = session.scalar(select(func.min(Delivery.at)).where(Delivery.hook == hook.key))
        if known_since is None:  # a new one: it hears of what ends from now on, and that it is connected
            note_test(session, hook, now)
            continue
        since = max(known_since, now - LOOKED_BACK)
        noted = select(Delivery.id).where(
            Delivery.hook == hook.key, Delivery.run_id == Run.id, Delivery.attempt == Run.attempt,
            Delivery.status == Run.status,
        )  # fmt: skip
        ended = select(Run).where(Run.status.in_(ENDED), Run.ended_at >= since, ~noted.exists())
        for run in session.scalars(ended.order_by(Run.ended_at)):
            _add(session, hook, run, now)


def note_test(session: Session, hook: Hook, now: datetime) -> None:
    _add(session, hook, None, now)


def due(session: Session, hooks: Sequence[Hook], now: datetime) -> list[tuple[int, Hook, dict[str, object]]]:
    """(delivery, hook, what it is told) of what is to be tried now, the oldest first."""
    by_key = {hook.key: hook for hook in hooks}
    wanted = (Delivery.outcome == "waits", Delivery.next_at <= now, Delivery.hook.in_(by_key))
    rows = session.scalars(select(Delivery).where(*wanted).order_by(Delivery.id).limit(50))
    return [(row.id, by_key[row.hook], row.told) for row in rows]


def note_tried(session: Session, delivery_id: int, refused: str | None, now: datetime) -> None:
    """`refused`: why it was not delivered; None: it was. What the run's deletion took along is left alone."""
    row = session.get(Delivery, delivery_id)
    if row is None:
        return
    row.tries, row.answer = row.tries + 1, refused
    if refused is None or row.tries > len(WAITS_S):
        row.outcome, row.ended_at = ("delivered" if refused is None else "given_up"), now
        keep = select(Delivery.id).order_by(Delivery.id.desc()).limit(LOG_ROWS)
        session.execute(delete(Delivery).where(Delivery.outcome != "waits", Delivery.id.not_in(keep)))
    else:
        row.next_at = now + timedelta(seconds=WAITS_S[row.tries - 1])


def next_at(session: Session) -> datetime | None:
    """When the earliest of those that wait is to be tried."""
    return session.scalar(select(func.min(Delivery.next_at)).where(Delivery.outcome == "waits"))


def log(session: Session, limit: int = 50) -> Sequence[Delivery]:
    return session.scalars(select(Delivery).order_by(Delivery.id.desc()).limit(limit)).all()


def _add(session: Session, hook: Hook, run: Run | None, now: datetime) -> None:
    values = {
        "hook": hook.key, "kind": hook.kind, "host": hook.host[:300], "at": now, "next_at": now, "tries": 0,
        "outcome": "waits", "run_id": run.id if run else None, "attempt": run.attempt if run else None,
        "status": str(run.status) if run else "test", "told": brief(run) if run else {},
    }  # fmt: skip
    session.execute(insert_or_ignore(Delivery).values(values))
