"""What workers do: claim, report, beat, finish; and the rescue of runs whose worker died. Fenced by attempt.

Each function works inside the caller's transaction. A worker that no longer holds its attempt gets Conflict (409).
Must not know HTTP or the streams: what happened is left in the transaction (runs.tell).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import progress
from app.leases import Held
from app.models import HELD, Attempt, Epoch, Run, Status, Worker
from app.problems import Conflict
from app.runs import brief, epochs_of, find, hits, tell
from trainer.events import EpochEnded, Event, Evidence, Failed, Started, Step

MOST_EVIDENCE = 20  # measured steps kept of an attempt; a trainer says two
LOST_ATTEMPTS = 3  # a run that took three workers down with it is not tried a fourth time

Outcome = Literal["succeeded", "failed", "cancelled", "released"]


@dataclass(frozen=True)
class WhoClaims:
    """A worker, the device that it owns, and the backends that it can run."""

    worker: str
    device: str
    backends: list[str]


def enrol(session: Session, who: WhoClaims, now: datetime) -> None:
    """Remember a worker for the list of workers."""
    worker = session.get(Worker, who.worker)
    if worker is None:
        worker = Worker(name=who.worker, first_seen_at=now)
        session.add(worker)
    worker.device, worker.backends, worker.seen_at = who.device, who.backends, now


def claim(session: Session, who: WhoClaims, now: datetime) -> Run | None:
    """Give the first fitting run of the queue to a worker, as a new attempt. Two workers never get the same one."""
    first = (
        select(Run.id)
        .where(Run.status == Status.QUEUED, Run.backend.in_(who.backends))
        .order_by(Run.priority.desc(), Run.id)
        .limit(1)
        .scalar_subquery()
    )
    claimed = session.scalar(
        update(Run)
        .where(Run.id == first, Run.status == Status.QUEUED)
        .values(status=Status.STARTING, attempt=Run.attempt + 1, requested=None, reason=None, hint=None)
        .returning(Run.id)
    )
    if claimed is None:
        return None
    run = find(session, claimed)
    session.add(Attempt(run_id=run.id, number=run.attempt, worker=who.worker, device=who.device, claimed_at=now))
    tell(session, run, "status", brief(run), now)
    return run


def report(session: Session, run_id: int, number: int, first_seq: int, events: Sequence[Event], now: datetime) -> int:
    """Store what the child said, each event once. Answers the sequence number that is expected next.

    Events that have arrived before are skipped; after a gap nothing is taken, and the answer says where to go on.
    """
    run, attempt = hold(session, run_id, number, now)
    for seq, event in enumerate(events, first_seq):
        if seq > attempt.next_seq:
            break
        if seq == attempt.next_seq:
            attempt.next_seq = seq + 1
            _take(session, run, attempt, seq, event, now)
    return attempt.next_seq


def grow_log(session: Session, run_id: int, number: int, size: int) -> None:
    """Note how many bytes of the attempt's log have arrived, and tell who watches."""
    attempt = session.get_one(Attempt, (run_id, number))
    if size > attempt.log_size:
        attempt.log_size = size
        grown = {"run": run_id, "attempt": number, "size": size}
        session.info.setdefault("told", []).append({"id": None, "run": run_id, "event": "log", "data": grown})


def beat(session: Session, run_id: int, number: int, now: datetime) -> str:
    """The worker lives. Answers what it should do: none, cancel, pause."""
    run, _ = hold(session, run_id, number, now)
    return run.requested or "none"


def finish(
    session: Session,
    run_id: int,
    number: int,
    outcome: Outcome,
    now: datetime,
    *,
    exit_code: int | None = None,
    reason: str | None = None,
) -> Run:
    """The attempt is over. `released` hands the run back to the queue. Saying it again changes nothing."""
    done = session.get(Attempt, (run_id, number))
    if done is not None and done.outcome not in (None, "lost"):
        return find(session, run_id)
    run, attempt = hold(session, run_id, number, now)
    attempt.outcome, attempt.ended_at = outcome, now
    attempt.exit_code, attempt.reason = exit_code, reason
    if outcome == "released" and run.requested != "cancel":
        run.status = Status.QUEUED
    else:
        run.status = Status.CANCELLED if outcome == "released" else Status(outcome)
        run.ended_at = now
        if outcome == "failed":
            run.reason = run.reason or reason
    run.requested = None
    session.flush()
    tell(session, run, "status", brief(run), now)
    return run


def rescue(session: Session, lapsed: Sequence[Held], now: datetime) -> None:
    """Send runs whose worker fell silent back to the queue; after `LOST_ATTEMPTS` lost attempts, fail them."""
    for run_id, number in lapsed:
        lost = session.execute(
            update(Attempt)
            .where(Attempt.run_id == run_id, Attempt.number == number, Attempt.outcome.is_(None))
            .values(outcome="lost", ended_at=now, reason="its worker fell silent")
        )
        run = session.get(Run, run_id)
        if not hits(lost) or run is None or run.attempt != number or run.status not in HELD:
            continue
        if run.requested == "cancel":
            run.status, run.ended_at = Status.CANCELLED, now
        elif _times_lost(session, run_id) >= LOST_ATTEMPTS:
            run.status, run.ended_at = Status.FAILED, now
            run.reason = f"Its worker died {LOST_ATTEMPTS} times while it worked on this run."
            run.hint = "Look at the log below and at the worker's memory before you launch it again."
        else:
            run.status = Status.QUEUED
        run.requested = None
        session.flush()
        tell(session, run, "status", brief(run), now)


def held(session: Session) -> list[Held]:
    """(run, attempt) of everything that some worker holds, by the records."""
    rows = session.execute(select(Run.id, Run.attempt).where(Run.status.in_(HELD)))
    return [(run_id, attempt) for run_id, attempt in rows]


def hold(session: Session, run_id: int, number: int, now: datetime) -> tuple[Run, Attempt]:
    """The fence: the run and the attempt, if this attempt still holds the run.

    A lapsed attempt whose run nobody else has claimed is taken up again under its old number.
    """
    attempt = session.get(Attempt, (run_id, number))
    run = session.get(Run, run_id)
    if attempt is None or run is None or run.attempt != number:
        raise Conflict(f"attempt {number} of run {run_id} is no longer yours: stop the child")
    if attempt.outcome == "lost" and run.status == Status.QUEUED:
        attempt.outcome, attempt.ended_at, attempt.reason = None, None, None
        run.status = Status.RUNNING if attempt.started_at else Status.STARTING
        session.flush()
        tell(session, run, "status", brief(run), now)
    if attempt.outcome is not None or run.status not in HELD:
        raise Conflict(f"attempt {number} of run {run_id} is over: stop the child")
    return run, attempt


def _take(session: Session, run: Run, attempt: Attempt, seq: int, event: Event, now: datetime) -> None:
    if isinstance(event, Step):
        step = progress.of_step(run, event, _recent(session, run.id))
        session.info.setdefault("told", []).append({"id": None, "run": run.id, "event": "step", "data": step})
        return
    data: dict[str, Any] = event.model_dump(mode="json")
    if isinstance(event, Started):
        run.status, attempt.started_at = Status.RUNNING, now
        run.started_at = run.started_at or now
        attempt.started, attempt.resumed_from_epoch = data, event.resumed_from_epoch
        tell(session, run, "status", brief(run), now)
    elif isinstance(event, Evidence):
        if len(attempt.evidence) < MOST_EVIDENCE:
            attempt.evidence = [*attempt.evidence, data]
    elif isinstance(event, Failed):
        run.reason, run.hint = event.message, event.hint
    elif isinstance(event, EpochEnded):
        said = select(Epoch.id).where(
            Epoch.run_id == run.id, Epoch.attempt == attempt.number, Epoch.epoch == event.epoch
        )
        if session.scalar(said) is not None:
            return  # the first one counts: a second must not make the report fail for ever
        columns = {key: value for key, value in data.items() if key in Epoch.__table__.columns}
        session.add(Epoch(run_id=run.id, attempt=attempt.number, at=now, **columns))
        session.flush()
        progress.after_epoch(run, event)
        if attempt.number > 1:
            progress.after_rewrite(run, epochs_of(session, run.id))
        data |= {"attempt": attempt.number, "elapsed_seconds": run.elapsed_seconds}
    data |= {"run": run.id}
    session.flush()
    tell(session, run, event.event, data, now, seq=seq)


def _recent(session: Session, run_id: int) -> Sequence[float]:
    """Seconds that the latest epochs took, validation included."""
    latest = select(Epoch.seconds + Epoch.val_seconds).where(Epoch.run_id == run_id).order_by(Epoch.id.desc())
    return session.scalars(latest.limit(progress.RECENT_EPOCHS)).all()


def _times_lost(session: Session, run_id: int) -> int:
    return session.scalar(select(func.count()).where(Attempt.run_id == run_id, Attempt.outcome == "lost")) or 0
