"""Stores the reports of an attempt's holder: events, log and files, each once and only while it holds the run.

Each function works inside the caller's transaction and raises Conflict (409) as `queue.hold` does.

Epochs and steps come many times a second: they are stored by prepared statements over single columns, without reading
the recipe or making objects of rows. Rare events use objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from app.metrics import accuracy, progress
from app.metrics.images_trained import images_per_epoch
from app.metrics.progress import RunProgress
from app.records import outbox
from app.records.models import HELD, Artifact, Attempt, Epoch, Prediction, Run, Status, table_of
from app.records.outbox import OutboxEvent
from app.records.sqlite import changed_a_row, insert_or_ignore, json_value
from app.runs.runs import shown_epochs
from app.workers import queue
from trainer.events import CheckpointFailed, CheckpointSaved, EpochEnded, Event, Evidence, Failed, Started, Step

MAX_EVIDENCE = 20  # measured steps stored of an attempt; a trainer reports two

GIVEN = {"id", "epochs", "target_accuracy"}  # fields of RunProgress that no epoch changes
MOVING = tuple(one.name for one in fields(RunProgress) if one.name not in GIVEN)
EPOCH_COLUMNS = table_of(Epoch).columns.keys() & EpochEnded.model_fields.keys()

HELD_RUN = (
    select(
        *(Run.id, Run.status, Run.epochs, Run.trail_from, *(getattr(Run, name) for name in MOVING)),
        json_value(Run.recipe, "target_accuracy").label("target_accuracy"),
        json_value(Run.recipe, "tta").label("tta"),
        *(Attempt.outcome, Attempt.next_seq, Attempt.log_size),
    )
    .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
    .where(Run.id == bindparam("run"), Run.attempt == bindparam("number"))
)
RECENT_SECONDS = (
    select(Epoch.seconds + Epoch.val_seconds)
    .where(Epoch.run_id == bindparam("run"))
    .order_by(Epoch.id.desc())
    .limit(progress.RECENT_EPOCHS)
)
HAS_EARLIER = select(
    exists().where(
        Epoch.run_id == bindparam("run"),
        Epoch.attempt >= bindparam("since"),
        Epoch.attempt < bindparam("number"),
        Epoch.epoch >= bindparam("epoch"),
    )
)
NEWEST_CHECKPOINT = (
    select(Attempt.checkpoint_epoch, Attempt.checkpoint_step)
    .where(Attempt.run_id == bindparam("run"), Attempt.number >= bindparam("since"))
    .order_by(Attempt.checkpoint_epoch.desc(), Attempt.checkpoint_step.desc())
    .limit(1)
)
ADD_EPOCH = insert_or_ignore(table_of(Epoch))
CHANGE_RUN = update(table_of(Run)).where(Run.id == bindparam("run"))
CHANGE_ATTEMPT = update(table_of(Attempt)).where(Attempt.run_id == bindparam("run"), Attempt.number == bindparam("of"))


def store_report(
    session: Session, run_id: int, number: int, first_seq: int, events: Sequence[Event], now: datetime
) -> tuple[int, int]:
    """Store the events of an attempt, each once. Returns the sequence number that is expected next, and how many bytes
    of the log have arrived.

    Events that have arrived before are skipped. After a gap nothing is stored: the result says what to send next.
    """
    report = _Report(session, run_id, number, now)
    new = events[max(report.next_seq - first_seq, 0) :] if first_seq <= report.next_seq else []
    for seq, event in enumerate(accuracy.drop_unrequested_tta(new, {"tta": report.tta}), report.next_seq):
        report.store(seq, event)
    report.save(report.next_seq + len(new))
    return report.next_seq, report.log_size


def grow_log(session: Session, run_id: int, number: int, before: int, size: int) -> None:
    """Store how many bytes of the attempt's log have arrived, and publish it."""
    if size > before:
        session.connection().execute(CHANGE_ATTEMPT, {"run": run_id, "of": number, "log_size": size})
        grown = {"run": run_id, "attempt": number, "size": size}
        outbox.record(session, OutboxEvent(None, run_id, "log", grown))


def store_artifact(session: Session, artifact: Artifact, now: datetime) -> str | None:
    """Store the row of an uploaded file, replacing the run's earlier file of that name. Returns the hash of content
    that no name refers to any more."""
    run, _ = queue.hold(session, artifact.run_id, artifact.attempt, now)
    before = session.get(Artifact, (run.id, artifact.name))
    old = before.sha256 if before else None
    session.merge(artifact)
    session.flush()
    data = {"run": run.id, "name": artifact.name, "epoch": artifact.epoch}
    outbox.store(session, run.id, run.attempt, "artifact", data, now)
    same_content = select(func.count()).where(Artifact.run_id == run.id, Artifact.sha256 == old)
    return old if old is not None and not session.scalar(same_content) else None


class _Report:
    """A report while it is stored: the columns of its run and attempt, and one method for each kind of event."""

    def __init__(self, session: Session, run_id: int, number: int, now: datetime) -> None:
        self._session, self._run_id, self._number, self._now = session, run_id, number, now
        self._key = (run_id, number)
        self._connection: Connection = session.connection()
        held = self._read_held()
        if held is None or held.outcome is not None or held.status not in HELD:
            queue.hold(session, run_id, number, now)  # raises Conflict, unless the attempt may come back
            held = self._read_held()
        self.tta: str | None = held.tta
        self.next_seq: int = held.next_seq
        self.log_size: int = held.log_size
        self._trail_from: int = held.trail_from
        self._stored = {name: getattr(held, name) for name in MOVING}
        self._run = RunProgress(run_id, held.epochs, float(held.target_accuracy), **self._stored)

    def _read_held(self) -> Any:
        return self._connection.execute(HELD_RUN, {"run": self._run_id, "number": self._number}).first()

    def store(self, seq: int, event: Event) -> None:
        match event:
            case Step():
                self._publish_step(event)
            case EpochEnded():
                self._store_epoch(seq, event)
            case _:
                self._store_rare(seq, event)

    def save(self, next_seq: int) -> None:
        """Write what the events have changed, each column once."""
        if next_seq > self.next_seq:
            self.next_seq = next_seq
            moved = {"run": self._run_id, "of": self._number, "next_seq": next_seq}
            self._connection.execute(CHANGE_ATTEMPT, moved)
        self._save_progress()

    def _publish_step(self, event: Step) -> None:
        recent = self._connection.execute(RECENT_SECONDS, {"run": self._run_id}).scalars().all()
        data = progress.describe_step(self._run, event, recent)
        outbox.record(self._session, OutboxEvent(None, self._run_id, "step", data))

    def _store_epoch(self, seq: int, event: EpochEnded) -> None:
        data = event.model_dump(mode="json", exclude={"predictions", "confidences"})
        row = {key: data[key] for key in EPOCH_COLUMNS}
        row |= {"run_id": self._run_id, "attempt": self._number, "at": self._now}
        if not changed_a_row(self._connection.execute(ADD_EPOCH, row)):
            return  # the first row counts; an error here would make the worker send the report for ever
        if event.predictions is not None:
            self._session.merge(
                Prediction(run_id=self._run_id, packed=event.predictions, confidences=event.confidences)
            )
        progress.apply_epoch(self._run, event)
        if self._replaces_earlier(event.epoch):
            progress.recompute_progress(self._run, shown_epochs(self._session, self._run_id))
        data |= {"attempt": self._number, "elapsed_seconds": self._run.elapsed_seconds, "run": self._run_id}
        self._store_event(seq, event, data)

    def _replaces_earlier(self, epoch: int) -> bool:
        """Whether an earlier attempt of the trail has this epoch or later ones: then the curve does not only grow."""
        if self._number <= self._trail_from:
            return False
        asked = {"run": self._run_id, "since": self._trail_from, "number": self._number, "epoch": epoch}
        return bool(self._connection.execute(HAS_EARLIER, asked).scalar_one())

    def _store_rare(self, seq: int, event: Event) -> None:
        run, attempt = self._session.get_one(Run, self._run_id), self._session.get_one(Attempt, self._key)
        data = event.model_dump(mode="json") | {"run": self._run_id}
        match event:
            case Started():
                self._start(run, attempt, event)
                data |= {"images_per_epoch": run.images_per_epoch}
                attempt.started = data
            case CheckpointSaved():
                if (event.epoch, event.step) > self._newest_checkpoint():
                    run.strikes = 0  # the run makes progress, so earlier failures no longer count
                attempt.checkpoint_epoch, attempt.checkpoint_step, attempt.trouble = event.epoch, event.step, None
            case CheckpointFailed():
                attempt.trouble = event.message
            case Evidence() if len(attempt.evidence) < MAX_EVIDENCE:
                attempt.evidence = [*attempt.evidence, data]
            case Failed():
                run.failure, run.reason, run.hint = event.kind, event.message, event.hint
        self._store_event(seq, event, data)

    def _start(self, run: Run, attempt: Attempt, event: Started) -> None:
        """Store what decides which runs can be compared with this one."""
        run.status, attempt.started_at = Status.RUNNING, self._now
        run.started_at = run.started_at or self._now
        attempt.resumed_from_epoch = event.resumed_from_epoch
        facts = event.environment
        device = facts.get("device")
        run.worker, run.train_images, run.val_images = attempt.worker, event.train_images, event.val_images
        run.classes = len(event.classes)
        run.images_per_epoch = images_per_epoch(run.recipe, event.train_images, event.steps_per_epoch)
        run.hardware = f"cpu: {facts.get('cpu') or 'unknown'}" if device == "cpu" else device
        run.precision = facts.get("precision")
        run.fingerprint, run.version = facts.get("dataset_fingerprint"), facts.get("pitwall")
        run.is_resumed = bool(event.resumed_from_epoch or event.resumed_at_step)
        self._session.flush()
        self._save_progress()
        self._session.refresh(run)  # its summary shows the progress
        outbox.store_status(self._session, run, self._now)

    def _newest_checkpoint(self) -> tuple[int, int]:
        """(epoch, step) over all attempts of the trail."""
        trail = {"run": self._run_id, "since": self._trail_from}
        epoch, step = self._session.execute(NEWEST_CHECKPOINT, trail).one()
        return epoch, step

    def _store_event(self, seq: int, event: Event, data: dict[str, Any]) -> None:
        outbox.store(self._session, self._run_id, self._number, event.event, data, self._now, seq=seq)

    def _save_progress(self) -> None:
        changed = {name: value for name in MOVING if (value := getattr(self._run, name)) != self._stored[name]}
        if changed:
            self._connection.execute(CHANGE_RUN, {"run": self._run_id} | changed)
            self._stored |= changed
