"""How people stop a run and let it go on: cancel, pause, resume, retry. Conditional UPDATEs that check what they hit.

A run that a worker holds is only asked: its worker hears it with the next beat (run_queue.standing) and answers with
`finish`. Each function works inside the caller's transaction. Must not know HTTP, HTML or workers.
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

MAX_PRIORITY = 100  # from 0: a priority that people may give

# What is forgotten of the old curve when a run begins again.
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
    """Stop a run for good: at once where nobody works on it, else by asking its worker. Asked twice: by force."""
    again = _update_if(session, run_id, HELD, {"forced": True}, Run.requested == "cancel")
    asked = not again and _update_if(session, run_id, HELD, {"requested": "cancel"})
    ended = {"status": Status.CANCELLED, "requested": None, "ended_at": now}
    stopped = _update_if(session, run_id, (Status.QUEUED, Status.PAUSED), ended)
    run = find(session, run_id)
    if again or asked or stopped:
        outbox.store_status(session, run, now)
    elif run.status != Status.CANCELLED:
        raise Conflict(f"run {run_id} has already {run.status}: there is nothing to cancel")
    return run


def pause(session: Session, run_id: int, now: datetime) -> Run:
    """Free the device and keep the place: at once where the run waits, else at its next step, with a checkpoint."""
    asked = _update_if(session, run_id, HELD, {"requested": "pause"}, Run.requested.is_(None))
    stopped = _update_if(session, run_id, (Status.QUEUED,), {"status": Status.PAUSED})
    run = find(session, run_id)
    if asked or stopped:
        outbox.store_status(session, run, now)
    elif run.status != Status.PAUSED and run.requested != "pause":
        raise Conflict(f"run {run_id} {_describe_status(run)}: only a run that waits or trains can be paused")
    return run


def resume(session: Session, run_id: int, now: datetime) -> Run:
    """Back to the queue, to its old place; a pause that its worker has not answered yet is taken back."""
    again = _update_if(session, run_id, (Status.PAUSED,), {"status": Status.QUEUED})
    taken_back = _update_if(session, run_id, HELD, {"requested": None}, Run.requested == "pause")
    run = find(session, run_id)
    if not again and not taken_back:
        raise Conflict(f"run {run_id} {_describe_status(run)}: only a paused run can be resumed")
    outbox.store_status(session, run, now)
    return run


def move(session: Session, run_id: int, before: int | None, now: datetime) -> Run:
    """Put a run that waits before another one, or behind all (None).

    The queue goes by priority, then by id. The run's priority changes, and as little as is needed of those ahead of it.
    """
    queue = select(Run).where(Run.status == Status.QUEUED).order_by(Run.priority.desc(), Run.id)
    places = {run.id: run for run in session.scalars(queue)}
    for one in (run_id, before):
        if one is not None and one not in places:
            raise Conflict(
                f"run {one} {_describe_status(find(session, one))}: only runs that wait have a place in the queue"
            )
    run = places.pop(run_id)
    others = list(places.values())
    at = len(others) if before in (None, run_id) else others.index(places[before])
    _place_in_queue([*others[:at], run, *others[at:]], run)
    session.flush()
    outbox.store_status(session, run, now)
    return run


def _place_in_queue(queue: list[Run], moved: Run) -> None:
    """Give `moved` a priority with which it stands where it is, and raise others ahead of it where that takes them."""
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
    """From the end on: nobody stands ahead with less than what that takes."""
    for ahead, behind in zip(queue[-2::-1], queue[:0:-1], strict=True):
        ahead.priority = max(ahead.priority, behind.priority + (ahead.id > behind.id))


def retry(session: Session, run_id: int, source: Source, now: datetime) -> Run:
    """Queue a failed or cancelled run again, from its last checkpoint if it has one, or from scratch.

    From scratch begins a new trail: no old checkpoint is used, and the curve begins anew.
    """
    values: dict[str, Any] = {
        "status": Status.QUEUED, "requested": None, "forced": False, "strikes": 0,
        "ended_at": None, "failure": None, "reason": None, "hint": None,
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
    session: Session, run_id: int, stands: tuple[Status, ...], values: dict[str, Any], *conditions: Any
) -> bool:
    """Change the run if it stands so. Raises NotFound where there is none."""
    run = find(session, run_id)
    done = session.execute(update(Run).where(Run.id == run_id, Run.status.in_(stands), *conditions).values(**values))
    session.refresh(run)
    return changed_a_row(done)


def _describe_status(run: Run) -> str:
    if run.status in HELD:
        return f"is being {run.requested}led" if run.requested == "cancel" else f"is {run.status}"
    return f"has {run.status}" if run.status in {Status.SUCCEEDED, Status.FAILED} else f"is {run.status}"
