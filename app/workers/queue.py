"""The queue: claim and finish runs, keep an attempt while its worker sends heartbeats, rescue runs whose worker died.

Each function works inside the caller's transaction. A worker that no longer holds its attempt gets Conflict (409).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, or_, select, update
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.live.leases import Held
from app.metrics.concerns import find_concern
from app.records import outbox
from app.records.models import HELD, Artifact, Attempt, Prediction, Run, Status, Worker
from app.records.sqlite import changed_a_row
from app.runs.runs import find, shown_epochs
from trainer.data.predictions import unpack
from trainer.protocol import CHECKPOINT, LOST, RETRYABLE, Outcome

MAX_STRIKES = 3  # failures in a row without a new checkpoint after which a run is not retried
MAX_CANDIDATES = 100  # queued runs that a claim checks; more than are ever reserved for other workers
LOST_HINT = "Look at the log below and at the worker's machine: was it switched off, or out of memory?"

# Prepared: every heartbeat runs it.
RUN_AND_ATTEMPT = (
    select(Run, Attempt)
    .join(Attempt, Attempt.run_id == Run.id)
    .where(Run.id == bindparam("run_id"), Attempt.number == bindparam("number"))
)

IsKept = Callable[[int, int], bool]


@dataclass(frozen=True)
class ClaimingWorker:
    """A worker with its device and the backends that it can run."""

    worker: str
    device: str
    backends: list[str]


def register_worker(session: Session, who: ClaimingWorker, now: datetime, trouble: str = "") -> None:
    """Add or update a worker in the list of workers. `trouble`: why it takes no runs."""
    worker = session.get(Worker, who.worker)
    if worker is None:
        worker = Worker(name=who.worker, first_seen_at=now)
        session.add(worker)
    worker.device, worker.backends, worker.seen_at = who.device, who.backends, now
    worker.trouble = trouble or None


def claim(
    session: Session, who: ClaimingWorker, now: datetime, is_kept: IsKept = lambda run, attempt: False
) -> Run | None:
    """Assign the first fitting run of the queue to a worker, as a new attempt. Two workers never get the same run.

    `is_kept(run, attempt)`: whether a run whose newest checkpoint another worker has is still reserved for that worker.
    """
    candidates = _queued_for(who).with_only_columns(Run.id, Run.attempt, Run.kept_for)
    for run_id, attempt, kept_for in session.execute(candidates.limit(MAX_CANDIDATES)):
        if kept_for in (None, who.worker) or not is_kept(run_id, attempt):
            break
    else:
        return None
    claimed = session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.status == Status.QUEUED)
        .values(
            status=Status.STARTING,
            attempt=Run.attempt + 1,
            requested=None,
            forced=False,
            kept_for=None,
            failure=None,
            reason=None,
            hint=None,
        )
        .returning(Run.id)
    )
    if claimed is None:
        return None
    run = find(session, claimed)
    session.add(Attempt(run_id=run.id, number=run.attempt, worker=who.worker, device=who.device, claimed_at=now))
    outbox.store_status(session, run, now)
    return run


def next_recipe(session: Session, who: ClaimingWorker) -> dict[str, Any] | None:
    """The recipe of the run that the worker would get next. A guess: other workers may claim it first."""
    free = or_(Run.kept_for.is_(None), Run.kept_for == who.worker)
    return session.scalar(_queued_for(who).with_only_columns(Run.recipe).where(free).limit(1))


def command_for(session: Session, run_id: int, number: int) -> str | None:
    """The command for the holder of an attempt: none, cancel, cancel_now, pause. Reads only.

    None: the attempt counts as lost, and only `hold` can restore it. Raises Conflict as `hold` does.
    """
    run, attempt = _find(session, run_id, number)
    if _may_return(run, attempt):
        return None
    _check(run, attempt)
    return "cancel_now" if run.requested == "cancel" and run.forced else run.requested or "none"


def finish(
    session: Session,
    run_id: int,
    number: int,
    outcome: Outcome,
    now: datetime,
    *,
    exit_code: int | None = None,
    failure: str | None = None,
    reason: str | None = None,
    hint: str | None = None,
) -> Run:
    """End the attempt. Idempotent.

    `released` returns the run to the queue. So does a failure that is not the run's own (TRIED_AGAIN), until there were
    `MAX_STRIKES` of them in a row without a new checkpoint.
    """
    done = session.get(Attempt, (run_id, number))
    if done is not None and done.outcome not in (None, "lost"):
        return find(session, run_id)
    run, attempt = hold(session, run_id, number, now)
    attempt.outcome, attempt.ended_at = outcome, now
    attempt.exit_code, attempt.reason = exit_code, reason
    if outcome == "failed":
        # what the child reported takes precedence
        run.failure, run.reason, run.hint = run.failure or failure, run.reason or reason, run.hint or hint
        attempt.failure = run.failure
    if outcome in {"released", "paused"}:
        _give_back(session, run, now)
    elif outcome == "failed" and run.failure in RETRYABLE:
        attempt.reason = run.reason
        _strike(session, run, now)
    else:
        run.status, run.ended_at = Status(outcome), now
        run.kept_for = checkpoint_holder(session, run)
        run.concern = _find_concern(session, run) if outcome == "succeeded" else None
    run.requested, run.forced = None, False
    session.flush()
    outbox.store_status(session, run, now)
    return run


def rescue(session: Session, lapsed: Sequence[Held], now: datetime) -> None:
    """Return runs whose worker stopped responding to the queue; after `MAX_STRIKES` in a row, fail them."""
    for run_id, number in lapsed:
        lost = session.execute(
            update(Attempt)
            .where(Attempt.run_id == run_id, Attempt.number == number, Attempt.outcome.is_(None))
            .values(outcome="lost", ended_at=now, reason="its worker stopped responding")
        )
        run = session.get(Run, run_id)
        if not changed_a_row(lost) or run is None or run.attempt != number or run.status not in HELD:
            continue
        run.failure, run.reason, run.hint = LOST, "Its worker stopped responding.", LOST_HINT
        _strike(session, run, now)
        run.requested, run.forced = None, False
        session.flush()
        outbox.store_status(session, run, now)


def _queued_for(who: ClaimingWorker) -> Select[Run]:
    """Queued runs that the worker can execute, in the order of the queue."""
    queued = select(Run).where(Run.status == Status.QUEUED, Run.backend.in_(who.backends))
    return queued.order_by(Run.priority.desc(), Run.id)


def _give_back(session: Session, run: Run, now: datetime) -> None:
    """Cancel or pause the run if somebody has requested that meanwhile, else queue it."""
    if run.requested == "cancel":
        run.status, run.ended_at = Status.CANCELLED, now
    else:
        run.status = Status.PAUSED if run.requested == "pause" else Status.QUEUED
    run.failure = run.reason = run.hint = None
    run.kept_for = checkpoint_holder(session, run)


def _strike(session: Session, run: Run, now: datetime) -> None:
    """Count a failure that may not be the run's own."""
    run.strikes += 1
    if run.strikes < MAX_STRIKES or run.requested == "cancel":
        _give_back(session, run, now)
        return
    run.status, run.ended_at, run.kept_for = Status.FAILED, now, checkpoint_holder(session, run)
    run.reason = f"{run.reason} That was the third time in a row without a new checkpoint: it is not retried."


def _find_concern(session: Session, run: Run) -> str | None:
    stored = session.get(Prediction, run.id)
    try:
        predicted = set(unpack(stored.packed).tolist()) if stored else set()
    except ValueError:  # as a worker sent it: no reason to refuse the run's end
        predicted = set()
    curve = shown_epochs(session, run.id)
    return find_concern(curve, run.val_images, run.classes, predicts_one_class=len(predicted) == 1)


def checkpoint_holder(session: Session, run: Run) -> str | None:
    """The worker whose disk has a newer checkpoint of the run than the app; None if the app has the newest."""
    newest = session.execute(
        select(Attempt.worker, Attempt.checkpoint_epoch, Attempt.checkpoint_step)
        .where(Attempt.run_id == run.id, Attempt.number >= run.trail_from)
        .order_by(Attempt.checkpoint_epoch.desc(), Attempt.checkpoint_step.desc(), Attempt.number.desc())
        .limit(1)
    ).first()
    if newest is None or (newest.checkpoint_epoch, newest.checkpoint_step) <= _uploaded_checkpoint(session, run.id):
        return None
    return str(newest.worker)


def _uploaded_checkpoint(session: Session, run_id: int) -> tuple[int, int]:
    found = session.get(Artifact, (run_id, CHECKPOINT))
    return (found.epoch, found.step) if found else (0, 0)


@dataclass(frozen=True)
class Resume:
    """Where an attempt may resume: what the app has of the run's trail."""

    known_epoch: int  # the app has the rows of epochs 1 to this one
    checkpoint: Artifact | None  # the newest that was uploaded


def find_resume(session: Session, run: Run) -> Resume | None:
    """For an attempt that was just claimed; None if it is the first of its trail."""
    if run.attempt <= run.trail_from:
        return None
    known = 0
    for row in shown_epochs(session, run.id):
        if row.epoch != known + 1:
            break
        known += 1
    return Resume(known, session.get(Artifact, (run.id, CHECKPOINT)))


def list_held(session: Session) -> list[Held]:
    """(run, attempt) of all runs that a worker holds, according to the database."""
    rows = session.execute(select(Run.id, Run.attempt).where(Run.status.in_(HELD)))
    return [(run_id, attempt) for run_id, attempt in rows]


def hold(session: Session, run_id: int, number: int, now: datetime) -> tuple[Run, Attempt]:
    """The fence: the run and the attempt, if this attempt still holds the run. Raises Conflict otherwise.

    A lost attempt whose run has not been claimed since is restored under its old number.
    """
    run, attempt = _find(session, run_id, number)
    if _may_return(run, attempt):
        attempt.outcome, attempt.ended_at, attempt.reason = None, None, None
        run.status = Status.RUNNING if attempt.started_at else Status.STARTING
        run.strikes = max(run.strikes - 1, 0)
        session.flush()
        outbox.store_status(session, run, now)
    _check(run, attempt)
    return run, attempt


def _find(session: Session, run_id: int, number: int) -> tuple[Run, Attempt]:
    found = session.execute(RUN_AND_ATTEMPT, {"run_id": run_id, "number": number}).first()
    if found is None or found.Run.attempt != number:
        raise Conflict(f"attempt {number} of run {run_id} is no longer yours: stop the child")
    return found.Run, found.Attempt


def _may_return(run: Run, attempt: Attempt) -> bool:
    return attempt.outcome == "lost" and run.status == Status.QUEUED and attempt.number >= run.trail_from


def _check(run: Run, attempt: Attempt) -> None:
    if attempt.outcome is not None or run.status not in HELD:
        raise Conflict(f"attempt {attempt.number} of run {run.id} is over: stop the child")
