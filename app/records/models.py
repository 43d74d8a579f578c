"""The tables: columns and what they mean.

Times are aware UTC. Accuracies are shares (0..1), durations are seconds. A run's `best_…`, `last_…` and
`…_seconds` columns are updated as its epochs arrive, so that a list is one query.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.records.sqlite import Jsonb, UtcDateTime

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Status(StrEnum):
    """Status of a run. A worker's death takes `starting` and `running` back to `queued`."""

    QUEUED = "queued"  # -> starting (claimed), cancelled, paused
    STARTING = "starting"  # -> running (the child reported `started`), succeeded, failed, cancelled, paused, queued
    RUNNING = "running"  # -> succeeded, failed, cancelled, paused, queued
    PAUSED = "paused"  # -> queued (resume), cancelled
    SUCCEEDED = "succeeded"  # the end
    FAILED = "failed"  # -> queued (retry)
    CANCELLED = "cancelled"  # -> queued (retry)


HELD = (Status.STARTING, Status.RUNNING)
ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
    }


def table_of(model: type[Base]) -> Table:
    """For statements over single columns: their rows do not become objects, which halves the time of an INSERT."""
    return cast(Table, model.__table__)


class Run(Base):
    """One recipe with one seed, queued once."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(s.value) for s in Status)})", name="status"),
        CheckConstraint("requested IN ('cancel', 'pause')", name="requested"),
        Index("ix_runs_queue", "status", "priority", "id"),
        Index("ix_runs_board", "dataset", "fingerprint", "hardware", "status", "failure", "attempt"),
        # Groups of a recipe, and the folded list, which reads no row of the table for its usual columns.
        Index(
            "ix_runs_folds",
            *("recipe_hash", "hardware", "fingerprint", "status", "seed", "version"),
            *("last_val_accuracy", "best_val_accuracy", "elapsed_seconds"),
        ),
        {"sqlite_autoincrement": True},  # an id is never used again, not even after a delete
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16), default=Status.QUEUED)
    requested: Mapped[str | None] = mapped_column(String(8), default=None)
    priority: Mapped[int] = mapped_column(default=0)
    tags: Mapped[list[str]] = mapped_column(default=list)
    notes: Mapped[str] = mapped_column(Text, default="")

    recipe: Mapped[dict[str, Any]] = mapped_column(Jsonb)
    recipe_hash: Mapped[str] = mapped_column(String(64))
    preset: Mapped[str | None] = mapped_column(String(64))
    preset_version: Mapped[int | None]
    dataset: Mapped[str] = mapped_column(String(80), index=True)
    backend: Mapped[str] = mapped_column(String(16))
    seed: Mapped[int]
    epochs: Mapped[int]  # planned
    group_id: Mapped[int | None] = mapped_column(index=True)  # the id of the first run of the repeats
    parent_id: Mapped[int | None]  # the run that this one was cloned from

    attempt: Mapped[int] = mapped_column(default=0)  # rises at each claim
    # Identifies checkpoints and epochs of the same training: a new trail begins at launch and at a retry from
    # scratch. Random, so that files of an earlier database on a worker's disk are never mistaken for ours.
    trail: Mapped[str] = mapped_column(String(16), default=lambda: secrets.token_hex(8))
    trail_from: Mapped[int] = mapped_column(default=1)  # the first attempt of the trail
    kept_for: Mapped[str | None] = mapped_column(String(120))  # the worker with the newest checkpoint, while queued
    strikes: Mapped[int] = mapped_column(default=0)  # failures in a row without a new checkpoint
    forced: Mapped[bool] = mapped_column(default=False)  # cancel was requested twice: kill, do not wait
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(
        String(32)
    )  # the failure's name: trainer.failures, trainer.worker.exit_codes
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed, in a sentence
    hint: Mapped[str | None] = mapped_column(Text)  # what to try

    last_epoch: Mapped[int] = mapped_column(default=0)
    # The ranking accuracy (app.metrics.accuracy). `…_plain_…`: without TTA; null if the ranking one is without.
    last_val_accuracy: Mapped[float | None]
    last_plain_accuracy: Mapped[float | None]
    best_val_accuracy: Mapped[float | None] = mapped_column(index=True)
    best_plain_accuracy: Mapped[float | None]  # of best_epoch
    best_epoch: Mapped[int | None]
    time_to_target: Mapped[float | None]  # elapsed seconds at the end of the first epoch that reached the target
    elapsed_seconds: Mapped[float] = mapped_column(default=0.0)  # training clock over the shown epochs
    spent_seconds: Mapped[float] = mapped_column(default=0.0)  # the same over all attempts' epochs
    tta_seconds: Mapped[float] = mapped_column(default=0.0)  # of test-time augmentation, over the shown epochs
    energy_wh: Mapped[float | None]  # of the device over the shown epochs; null: not measured
    milestones: Mapped[bytes] = mapped_column(default=b"")  # app.metrics.milestones: when it first reached any target

    # Of the latest attempt that started: decides which runs are comparable.
    worker: Mapped[str | None] = mapped_column(String(120))
    hardware: Mapped[str | None] = mapped_column(String(120))  # the accelerator's name, or "cpu: " and the model's
    precision: Mapped[str | None] = mapped_column(String(16))  # that convolutions were computed in
    fingerprint: Mapped[str | None] = mapped_column(String(80))  # of the data set
    version: Mapped[str | None] = mapped_column(String(40))  # Pitwall's
    train_images: Mapped[int | None]
    val_images: Mapped[int | None]
    classes: Mapped[int | None]  # number of them
    images_per_epoch: Mapped[
        int | None
    ]  # trained on: without dropped images, and a pair that mixup combined counts once
    is_resumed: Mapped[bool] = mapped_column(default=False)  # its curve is that of several attempts
    concern: Mapped[str | None] = mapped_column(String(16))  # app.metrics.concerns: why its result may be worthless
    settle_id: Mapped[int | None] = mapped_column(index=True)  # the settle that queued it


class Attempt(Base):
    """A worker's try at a run. A crash ends an attempt, not the run."""

    __tablename__ = "attempts"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str] = mapped_column(String(120))
    device: Mapped[str] = mapped_column(String(120))
    claimed_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    # succeeded, failed, cancelled, paused, released, lost; null: held
    outcome: Mapped[str | None] = mapped_column(String(16))
    exit_code: Mapped[int | None]
    failure: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(Text)
    next_seq: Mapped[int] = mapped_column(default=0)  # the first event that has not arrived yet
    log_size: Mapped[int] = mapped_column(default=0)  # bytes of log that have arrived
    resumed_from_epoch: Mapped[int] = mapped_column(default=0)
    checkpoint_epoch: Mapped[int] = mapped_column(default=0)  # finished epochs in the newest checkpoint that it made
    checkpoint_step: Mapped[int] = mapped_column(default=0)  # and steps of the epoch after them
    trouble: Mapped[str | None] = mapped_column(Text)  # why its newest checkpoint could not be written
    started: Mapped[dict[str, Any] | None]  # the child's `started` event: versions, device, data, parameters
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(default=list)  # measured in its first steps


class Epoch(Base):
    """An epoch of an attempt. Fields as in trainer.events.EpochEnded."""

    __tablename__ = "epochs"
    __table_args__ = (
        UniqueConstraint("run_id", "attempt", "epoch"),
        Index("ix_epochs_at", "epoch", "run_id", "attempt", "val_accuracy", "tta_accuracy"),  # columns.py: KEY@EPOCH
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    epoch: Mapped[int]
    train_loss: Mapped[float | None]
    train_accuracy: Mapped[float | None]
    val_loss: Mapped[float | None]
    val_accuracy: Mapped[float | None]  # without TTA
    tta_accuracy: Mapped[float | None]
    learning_rate: Mapped[float]
    penalty: Mapped[float | None]
    seconds: Mapped[float]
    input_seconds: Mapped[float]
    val_seconds: Mapped[float]
    tta_seconds: Mapped[float]
    compile_seconds: Mapped[float]
    energy_wh: Mapped[float | None]  # of the device during `seconds`
    busy: Mapped[float | None]  # share of the time that the device was in use
    memory_bytes: Mapped[int | None]  # peak memory use of the device, by all programs
    at: Mapped[datetime]


class Prediction(Base):
    """A model's prediction for each validation image at the end of the last epoch, with its confidence."""

    __tablename__ = "predictions"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    packed: Mapped[str] = mapped_column(Text)  # trainer.data.predictions
    confidences: Mapped[str | None] = mapped_column(Text)  # null: not reported by an older trainer


class Artifact(Base):
    """An uploaded file: the newest of its name. Its content is at files.artifact_path."""

    __tablename__ = "artifacts"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    attempt: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int]
    epoch: Mapped[int]  # finished epochs in it
    step: Mapped[int]  # and steps of the epoch after these
    at: Mapped[datetime]


class Event(Base):
    """A published event. Streams resume by its id, which is never reused."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("run_id", "attempt", "seq"),
        Index("ix_events_run_id_id", "run_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    attempt: Mapped[int | None]
    seq: Mapped[int | None]  # the child's own count of its events; null: an event of the app
    kind: Mapped[str] = mapped_column(String(16))  # status, started, epoch, checkpoint, not_saved, failed, finished
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Worker(Base):
    """The process that owns one device. `seen_at` is for display; presence is judged by app.live.leases."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    device: Mapped[str] = mapped_column(String(120))
    backends: Mapped[list[str]]
    first_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    trouble: Mapped[str | None] = mapped_column(Text)  # why it takes no runs
    price_per_hour: Mapped[float | None]  # as people set it, in a currency of their own


class Submission(Base):
    """An Idempotency-Key and the runs launched under it: the same key and body get the same response."""

    __tablename__ = "submissions"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    run_ids: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Baseline(Base):
    """The recipe that a data set's other recipes are compared with."""

    __tablename__ = "baselines"

    dataset: Mapped[str] = mapped_column(String(80), primary_key=True)
    recipe_hash: Mapped[str] = mapped_column(String(64))
    pinned_at: Mapped[datetime]


class Settle(Base):
    """Two recipes that are repeated in turn until the verdict on them is decided."""

    __tablename__ = "settles"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    baseline: Mapped[str] = mapped_column(String(64))  # recipe hash
    candidate: Mapped[str] = mapped_column(String(64))  # recipe hash
    metric: Mapped[str] = mapped_column(String(32))
    target: Mapped[float]  # share
    dataset: Mapped[str] = mapped_column(String(80))
    fingerprint: Mapped[str] = mapped_column(String(80))
    hardware: Mapped[str] = mapped_column(String(120))
    margin: Mapped[float | None]
    max_seeds: Mapped[int]  # of each recipe
    comparisons: Mapped[int]  # of the family that it is judged with; 1: the pair alone
    # running -> decided, undecided (at max_seeds), cancelled, failed
    status: Mapped[str] = mapped_column(String(16), default="running", index=True)
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed
    verdict: Mapped[dict[str, Any] | None]  # the latest, as in the API
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Delivery(Base):
    """A webhook message to deliver; afterwards a row of the log of deliveries."""

    __tablename__ = "deliveries"
    __table_args__ = (
        # Unique: a run that is edited after its end sends no second message.
        UniqueConstraint("hook", "run_id", "attempt", "status"),
        Index("ix_deliveries_due", "outcome", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    hook: Mapped[str] = mapped_column(String(16))  # its key: the address is a secret
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(300))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))  # null: a test
    attempt: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16))  # of the run; or `test`
    told: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tries: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime]
    next_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(16), default="waits")  # waits, delivered, given_up
    answer: Mapped[str | None] = mapped_column(Text)  # why the latest try failed
