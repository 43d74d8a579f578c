"""What the holder of an attempt hands in: events, log, files. Each thing once, and only while it holds the run.

Each function works inside the caller's transaction and raises Conflict (409) as run_queue.hold does. Must not know
HTTP or the streams: what happened is left in the transaction (runs.tell).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.metrics import accuracy, progress
from app.records.models import Artifact, Attempt, Epoch, Prediction, Run, Status
from app.records.sqlite import insert_or_ignore
from app.runs.runs import brief, changed_a_row, shown_epochs, tell
from app.workers import fast_reports
from app.workers.queue import hold
from trainer.events import CheckpointFailed, CheckpointSaved, EpochEnded, Event, Evidence, Failed, Started, Step

NEW_EPOCH = insert_or_ignore(Epoch)
MAX_EVIDENCE = 20  # measured steps kept of an attempt; a trainer says two


def take_report(
    session: Session, run_id: int, number: int, first_seq: int, events: Sequence[Event], now: datetime
) -> tuple[int, int]:
    """Store what the child said, each event once. Answers the sequence number that is expected next, and
    how many bytes of log have arrived.

    Events that have arrived before are skipped; after a gap nothing is taken, and the answer says where to go on.
    """
    if (taken := fast_reports.take(session, run_id, number, first_seq, events, now)) is not None:
        return taken
    run, attempt = hold(session, run_id, number, now)
    for seq, event in enumerate(accuracy.drop_unrequested_tta(events, run.recipe), first_seq):
        if seq > attempt.next_seq:
            break
        if seq == attempt.next_seq:
            attempt.next_seq = seq + 1
            _take(session, run, attempt, seq, event, now)
    return attempt.next_seq, attempt.log_size


def grow_log(session: Session, run_id: int, number: int, before: int, size: int) -> None:
    """Note how many bytes of the attempt's log have arrived, and tell who watches."""
    if size > before:
        session.get_one(Attempt, (run_id, number)).log_size = size
        grown = {"run": run_id, "attempt": number, "size": size}
        session.info.setdefault("told", []).append({"id": None, "run": run_id, "event": "log", "data": grown})


def take_artifact(session: Session, artifact: Artifact, now: datetime) -> str | None:
    """A file has arrived, in the place of the one of its name. Answers the hash that no name leads to any more."""
    run, _ = hold(session, artifact.run_id, artifact.attempt, now)
    before = session.get(Artifact, (run.id, artifact.name))
    old = before.sha256 if before else None
    session.merge(artifact)
    session.flush()
    tell(session, run, "artifact", {"run": run.id, "name": artifact.name, "epoch": artifact.epoch}, now)
    named = select(func.count()).where(Artifact.run_id == run.id, Artifact.sha256 == old)
    return old if old is not None and not session.scalar(named) else None


def _take(session: Session, run: Run, attempt: Attempt, seq: int, event: Event, now: datetime) -> None:
    if isinstance(event, Step):
        step = progress.describe_step(run, event, fast_reports.recent(session.connection(), run.id))
        session.info.setdefault("told", []).append({"id": None, "run": run.id, "event": "step", "data": step})
        return
    data: dict[str, Any] = event.model_dump(mode="json")
    if isinstance(event, Started):
        run.status, attempt.started_at = Status.RUNNING, now
        run.started_at = run.started_at or now
        attempt.started, attempt.resumed_from_epoch = data, event.resumed_from_epoch
        _know(run, attempt, event)
        tell(session, run, "status", brief(run), now)
    elif isinstance(event, CheckpointSaved):
        if (event.epoch, event.step) > _furthest(session, run):
            run.strikes = 0  # whatever killed it, it gets on
        attempt.checkpoint_epoch, attempt.checkpoint_step, attempt.trouble = event.epoch, event.step, None
    elif isinstance(event, CheckpointFailed):
        attempt.trouble = event.message
    elif isinstance(event, Evidence):
        if len(attempt.evidence) < MAX_EVIDENCE:
            attempt.evidence = [*attempt.evidence, data]
    elif isinstance(event, Failed):
        run.failure, run.reason, run.hint = event.kind, event.message, event.hint
    elif isinstance(event, EpochEnded):
        columns = {key: value for key, value in data.items() if key in fast_reports.EPOCH_COLUMNS}
        row = {"run_id": run.id, "attempt": attempt.number, "at": now, **columns}
        if not changed_a_row(session.connection().execute(NEW_EPOCH, row)):
            return  # the first one counts: a second must not make the report fail for ever
        packed, confidences = data.pop("predictions", None), data.pop("confidences", None)
        if packed is not None:
            session.merge(Prediction(run_id=run.id, packed=packed, confidences=confidences))
        progress.apply_epoch(run, event)
        if _replaces(session, run, event.epoch):
            progress.recompute_progress(run, shown_epochs(session, run.id))
        data |= {"attempt": attempt.number, "elapsed_seconds": run.elapsed_seconds}
    data |= {"run": run.id}
    tell(session, run, event.event, data, now, seq=seq)


def _know(run: Run, attempt: Attempt, event: Started) -> None:
    """What decides which runs can be compared with it."""
    facts = event.environment
    device = facts.get("device")
    run.worker, run.train_images = attempt.worker, event.train_images
    run.hardware = f"cpu: {facts.get('cpu') or 'unknown'}" if device == "cpu" else device
    run.precision = facts.get("precision")
    run.fingerprint, run.version = facts.get("dataset_fingerprint"), facts.get("pitwall")
    run.is_resumed = bool(event.resumed_from_epoch or event.resumed_at_step)


def _replaces(session: Session, run: Run, epoch: int) -> bool:
    """Whether an earlier attempt of the trail has this epoch or later ones: then the curve does not only grow."""
    older = (Epoch.run_id == run.id, Epoch.attempt >= run.trail_from, Epoch.attempt < run.attempt, Epoch.epoch >= epoch)
    return run.attempt > run.trail_from and bool(session.scalar(select(exists().where(*older))))


def _furthest(session: Session, run: Run) -> tuple[int, int]:
    """(epoch, step) of the newest checkpoint of the run's trail."""
    newest = (
        select(Attempt.checkpoint_epoch, Attempt.checkpoint_step)
        .where(Attempt.run_id == run.id, Attempt.number >= run.trail_from)
        .order_by(Attempt.checkpoint_epoch.desc(), Attempt.checkpoint_step.desc())
    )
    epoch, step = session.execute(newest.limit(1)).one()
    return epoch, step
