"""Requests and responses of the runs API. Times are RFC 3339 in UTC, accuracies shares (0..1), durations seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, computed_field

from app.json_shapes import Name, Notes, Priority, RequestModel, ResponseModel, Tags
from app.metrics.concerns import Concern, describe_concern
from app.metrics.sampling_error import share_interval, standard_error


class LaunchRequest(RequestModel):
    """A run to launch: a preset, a (partial) recipe that is merged over it, or both."""

    preset: str | None = Field(None, max_length=64)
    recipe: dict[str, Any] = Field(default={})
    name: Name = ""
    tags: Tags = Field(default=[])
    notes: Notes = ""
    repeats: int = Field(1, ge=1, le=100, description="Number of runs, with consecutive seeds: seed, seed+1, …")
    priority: Priority = 0


class CloneRequest(RequestModel):
    """Overrides applied to the clone."""

    recipe: dict[str, Any] = Field(default={})
    name: Name = ""


class EditRequest(RequestModel):
    """Keys that are not sent stay as they are."""

    name: Annotated[Name, Field(min_length=1)] | None = None
    tags: Tags | None = None
    notes: Notes | None = None
    priority: Priority | None = None


class MoveRequest(RequestModel):
    before: int | None = Field(
        ge=1, lt=2**63, description="Id of the queued run to move before; null: to the end of the queue"
    )


class AttemptResponse(ResponseModel):
    number: int
    worker: str
    device: str
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None = Field(
        description="succeeded, failed, cancelled, paused, released or lost; null while a worker holds it"
    )
    exit_code: int | None
    failure: str | None = Field(description="Failure code: diverged, out_of_memory, killed, hang, lost, …")
    reason: str | None
    resumed_from_epoch: int
    checkpoint_epoch: int = Field(description="Epochs completed in its newest checkpoint")
    checkpoint_step: int = Field(description="Steps completed in the epoch after `checkpoint_epoch`")
    trouble: str | None = Field(description="Error of the latest checkpoint if it could not be written")
    started: dict[str, Any] | None = Field(description="Reported by the trainer at start: versions, device, data")
    evidence: list[dict[str, Any]] = Field(description="Measured at the first step of the first epochs")


class RunResponse(ResponseModel):
    id: int
    name: str
    status: Literal["queued", "starting", "running", "paused", "succeeded", "failed", "cancelled"]
    requested: Literal["cancel", "pause"] | None
    priority: int
    tags: list[str]
    notes: str
    recipe: dict[str, Any]
    recipe_hash: str
    preset: str | None
    preset_version: int | None
    dataset: str
    seed: int
    epochs: int = Field(description="Number of epochs planned")
    group_id: int | None
    parent_id: int | None
    attempt: int
    trail_from: int = Field(description="First attempt of the current curve; a retry from scratch starts a new curve")
    kept_for: str | None = Field(description="Worker whose disk has the newest checkpoint")
    forced: bool = Field(description="Cancelled twice: the trainer is killed")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    failure: str | None = Field(description="Failure code: diverged, out_of_memory, killed, hang, lost, …")
    reason: str | None
    hint: str | None
    last_epoch: int
    last_val_accuracy: float | None = Field(description="Accuracy used for ranking (with TTA if enabled)")
    last_plain_accuracy: float | None = Field(
        description="`last_val_accuracy` without TTA; null if the recipe uses no TTA"
    )
    best_val_accuracy: float | None = Field(description="Accuracy used for ranking (with TTA if enabled)")
    best_plain_accuracy: float | None = Field(
        description="Accuracy of `best_epoch` without TTA; null if the recipe uses no TTA"
    )
    best_epoch: int | None
    time_to_target: float | None = Field(description="`elapsed_seconds` when `target_accuracy` was first reached")
    elapsed_seconds: float = Field(description="Training time of the epochs of the curve")
    spent_seconds: float = Field(description="Training time of all epochs, incl. those of failed attempts")
    tta_seconds: float = Field(description="Time of test-time augmentation over the epochs of the curve")
    energy_wh: float | None = Field(
        description="Energy used by the device over the epochs of the curve; null if not measured"
    )
    worker: str | None = Field(description="Worker of the latest attempt")
    hardware: str | None = Field(description="Hardware of the latest attempt")
    fingerprint: str | None = Field(
        description="Fingerprint of the images of the latest attempt; equal for equal images"
    )
    version: str | None = Field(description="Pitwall's version in the latest attempt")
    is_resumed: bool = Field(description="Whether the curve combines several attempts")
    val_images: int | None = Field(description="Validation images that accuracies are measured on")
    classes: int | None = Field(description="Number of classes")
    concern: Concern | None = Field(
        description="Why the result of a finished run may be worthless; null: no reason known"
    )

    @computed_field(description="`concern` in a sentence")  # type: ignore[prop-decorator]
    @property
    def concern_sentence(self) -> str | None:
        return describe_concern(self)


class ArtifactResponse(ResponseModel):
    name: str
    bytes: int
    sha256: str
    attempt: int
    epoch: int = Field(description="Epochs completed in it")
    step: int = Field(description="Steps completed in the epoch after `epoch`")
    at: datetime
    accuracy: float | None = Field(None, description="Accuracy of `epoch` used for ranking (with TTA if enabled)")
    plain_accuracy: float | None = Field(
        None, description="`accuracy` without TTA; null if the recipe uses no TTA. Exported models use no TTA"
    )
    is_best: bool = Field(False, description="Whether `epoch` is the run's best")
    is_last: bool = Field(False, description="Whether `epoch` is the run's last")


class ClocksResponse(BaseModel):
    """How long a run took, by three clocks, and how well it used its device."""

    train_seconds: float = Field(description="Epochs of the curve only, without startup, compilation and validation")
    job_seconds: float | None = Field(description="From claim to result of the attempt that succeeded")
    job_remark: str | None = Field(description="What `job_seconds` leaves out, or why it is null")
    cold_seconds: float | None = Field(description="`job_seconds` if the process was new and had no compiled programs")
    cold_remark: str | None = Field(description="Why `cold_seconds` is null")
    startup_seconds: float | None = Field(description="Time of the latest attempt until its programs were compiled")
    pictures: int | None = Field(description="Images trained on, repetitions included")
    mfu: float | None = Field(description="Model FLOPs utilisation: share of the device's peak that the training used")
    mfu_remark: str = Field(description="Source of the peak, or why `mfu` is null")


class RunDetails(RunResponse):
    """A run with its attempts and files and, while it trains, its latest step."""

    attempts: list[AttemptResponse]
    artifacts: list[ArtifactResponse]
    clocks: ClocksResponse
    resumed_from_epoch: int = 0
    step: dict[str, Any] | None = None
    is_silent: bool = Field(False, description="Its worker has not reported for some seconds")

    @computed_field(  # type: ignore[prop-decorator]
        description="Standard error of `last_val_accuracy` from being measured on these `val_images`"
    )
    @property
    def sampling_error(self) -> float | None:
        return standard_error(self.last_val_accuracy, self.val_images)

    @computed_field(  # type: ignore[prop-decorator]
        description="95 % confidence interval of the accuracy on other images of the same kind (Clopper-Pearson)"
    )
    @property
    def sampling_interval(self) -> tuple[float, float] | None:
        return share_interval(self.last_val_accuracy, self.val_images)


class RetryRequest(RequestModel):
    """Where to start: at the newest checkpoint, or from scratch."""

    source: Literal["checkpoint", "scratch"] = Field("checkpoint", alias="from")


class LaunchResponse(BaseModel):
    runs: list[RunResponse]
