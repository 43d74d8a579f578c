"""Cancel, pause, resume, move and retry runs, by conditional UPDATEs inside the caller's transaction.

A run that a worker holds only gets a request: the worker receives it with its next beat and answers with `finish`.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.records import outbox
from app.records.models import HELD, Artifact, Prediction, Run, Status
from app.records.sqlite import changed_a_row
from app.runs.runs import find

Source = Literal["checkpoint", "scratch"]

ENDINGS: dict[str, str] = {Status.SUCCEEDED: "finished", Status.FAILED: "failed"}  # in sentences
MAX_PRIORITY = 100  # people may set -100 to 100

NO_CURVE: dict[str, Any] = {
    "last_epoch": 0,
    "last_val_accuracy": None,
    "last_plain_accuracy": None,
    "best_val_accuracy": None,
    "best_plain_accuracy": None,
    "best_epoch": None,
    "time_to_target": None,
    "elapsed_seconds": 0.0,
    "tta_seconds": 0.0,
    "energy_wh": None,
    "milestones": b"",
}


def cancel(session: Session, run_id: int, now: datetime) -> Run:
    """Cancel at once if no worker holds the run, else request it. A second request kills the trainer."""
    forced = _update_if(session, run_id, HELD, {"forced": True}, Run.requested == "cancel")
    requested = not forced and _update_if(session, run_id, HELD, {"requested": "cancel"})
    ended = {"status": Status.CANCELLED, "requested": None, "ended_at": now}
    stopped = _update_if(session, run_id, (Status.QUEUED, Status.PAUSED), ended)
    run = find(session, run_id)
    if forced or requested or stopped:
        outbox.store_status(session, run, now)
    elif run.status != Status.CANCELLED:
        raise Conflict(f"run {run_id} has already {ENDINGS[run.status]}: there is nothing to cancel")
    return run


def pause(session: Session, run_id: int, now: datetime) -> Run:
    """Pause a queued run at once, a running one at its next step, with a checkpoint."""
    requested = _update_if(session, run_id, HELD, {"requested": "pause"}, Run.requested.is_(None))
    stopped = _update_if(session, run_id, (Status.QUEUED,), {"status": Status.PAUSED})
    run = find(session, run_id)
    if requested or stopped:
        outbox.store_status(session, run, now)
    elif run.status != Status.PAUSED and run.requested != "pause":
        raise Conflict(f"run {run_id} {_describe_status(run)}: only a queued or running run can be paused")
    return run


def resume(session: Session, run_id: int, now: datetime) -> Run:
    """Put a paused run back in its place in the queue, or withdraw a pause that its worker has not carried out yet."""
    queued = _update_if(session, run_id, (Status.PAUSED,), {"status": Status.QUEUED})
    withdrawn = _update_if(session, run_id, HELD, {"requested": None}, Run.requested == "pause")
    run = find(session, run_id)
    if not queued and not withdrawn:
        raise Conflict(f"run {run_id} {_describe_status(run)}: only a paused run can be resumed")
    outbox.store_status(session, run, now)
    return run


def move(session: Session, run_id: int, before: int | None, now: datetime) -> Run:
    """Move a queued run before another one, or to the end (None).

    The queue is ordered by priority, then by id. The run's priority changes, and those of runs ahead of it only as
    far as needed.
    """
    queue = select(Run).where(Run.status == Status.QUEUED).order_by(Run.priority.desc(), Run.id)
    queued = {run.id: run for run in session.scalars(queue)}
    for one in (run_id, before):
        if one is not None and one not in queued:
            raise Conflict(
                f"run {one} {_describe_status(find(session, one))}: only queued runs have a place in the queue"
            )
    run = queued.pop(run_id)
    others = list(queued.values())
    at = len(others) if before in (None, run_id) else others.index(queued[before])
    _place_in_queue([*others[:at], run, *others[at:]], run)
    session.flush()
    outbox.store_status(session, run, now)
    return run


def _place_in_queue(queue: list[Run], moved: Run) -> None:
    """Set priorities so that sorting by (-priority, id) gives this order; change few besides that of `moved`."""
    behind = queue[queue.index(moved) + 1 :]
    ahead = queue[: queue.index(moved)]
    if behind:
        moved.priority = behind[0].priority
    elif ahead:
        moved.priority = ahead[-1].priority - (moved.id < ahead[-1].id)
    _raise_priorities(queue)
    if queue[0].priority > MAX_PRIORITY or moved.priority < -MAX_PRIORITY:  # after very many moves
        for run in queue:
            run.priority = 0
        _raise_priorities(queue)


def _raise_priorities(queue: list[Run]) -> None:
    """Going backwards, raise each run as far as needed to stay ahead of the next one."""
    for ahead, behind in zip(queue[-2::-1], queue[:0:-1], strict=True):
        ahead.priority = max(ahead.priority, behind.priority + (ahead.id > behind.id))


def retry(session: Session, run_id: int, source: Source, now: datetime) -> Run:
    """Queue a failed or cancelled run again, from its last checkpoint if it has one, or from scratch.

    A retry from scratch starts a new trail: it uses no old checkpoint and starts a new curve.
    """
    values: dict[str, Any] = {
        "status": Status.QUEUED, "requested": None, "forced": False, "strikes": 0,
        "ended_at": None, "failure": None, "reason": None, "hint": None, "concern": None,
    }  # fmt: skip
    if source == "scratch":
        values |= {"trail": secrets.token_hex(8), "trail_from": Run.attempt + 1, "kept_for": None} | NO_CURVE
    hit = _update_if(session, run_id, (Status.FAILED, Status.CANCELLED), values)
    run = find(session, run_id)
    if not hit:
        raise Conflict(
            f"run {run_id} {_describe_status(run)}: only a failed or cancelled run can be retried; clone it instead"
        )
    if source == "scratch":
        session.execute(delete(Artifact).where(Artifact.run_id == run_id))
        session.execute(delete(Prediction).where(Prediction.run_id == run_id))
    outbox.store_status(session, run, now)
    return run


def _update_if(
    session: Session, run_id: int, statuses: tuple[Status, ...], values: dict[str, Any], *conditions: Any
) -> bool:
    """Update the run if it has one of the statuses and meets the conditions; whether it did. Raises NotFound."""
    run = find(session, run_id)
    done = session.execute(update(Run).where(Run.id == run_id, Run.status.in_(statuses), *conditions).values(**values))
    session.refresh(run)
    return changed_a_row(done)


def _describe_status(run: Run) -> str:
    if run.status in HELD:
        return f"is being {run.requested}led" if run.requested == "cancel" else f"is {run.status}"
    return f"has {ENDINGS[run.status]}" if run.status in ENDINGS else f"is {run.status}"
