"""JSON in and out of the API, never tables. Times are RFC 3339 in UTC, accuracies shares (0..1), durations seconds.

Must not know how anything is stored or decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.json_shapes import Name, Notes, Priority, RequestModel, ResponseModel, Tags


class LaunchRequest(RequestModel):
    """A run to launch: a preset, a (partial) recipe laid over it, or both."""

    preset: str | None = Field(None, max_length=64)
    recipe: dict[str, Any] = Field(default_factory=dict)
    name: Name = ""
    tags: Tags = Field(default_factory=list)
    notes: Notes = ""
    repeats: int = Field(1, ge=1, le=100, description="Launch so many runs with seeds seed, seed+1, …")
    priority: Priority = 0


class CloneRequest(RequestModel):
    """What the clone shall have otherwise."""

    recipe: dict[str, Any] = Field(default_factory=dict)
    name: Name = ""


class EditRequest(RequestModel):
    """Only the keys that are sent change."""

    name: Annotated[Name, Field(min_length=1)] | None = None
    tags: Tags | None = None
    notes: Notes | None = None
    priority: Priority | None = None


class MoveRequest(RequestModel):
    before: int | None = Field(ge=1, lt=2**63, description="The id of a run that waits; null: behind all of them")


class AttemptResponse(ResponseModel):
    number: int
    worker: str
    device: str
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None = Field(description="succeeded, failed, cancelled, paused, released, lost; null: held")
    exit_code: int | None
    failure: str | None = Field(description="The failure's name: diverged, out_of_memory, killed, hang, lost …")
    reason: str | None
    resumed_from_epoch: int
    checkpoint_epoch: int = Field(description="Finished epochs in the newest checkpoint that it made")
    checkpoint_step: int = Field(description="And finished steps of the epoch after these")
    trouble: str | None = Field(description="Why its newest checkpoint could not be written")
    started: dict[str, Any] | None = Field(description="What the trainer said of itself: versions, device, data")
    evidence: list[dict[str, Any]] = Field(description="What the first step of some epochs really did, as measured")


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
    epochs: int = Field(description="Planned")
    group_id: int | None
    parent_id: int | None
    attempt: int
    trail_from: int = Field(description="The first attempt of the present curve; a retry from scratch begins a new one")
    kept_for: str | None = Field(description="The worker whose disk has the newest checkpoint")
    forced: bool = Field(description="Cancel was asked for twice: the trainer is killed")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    failure: str | None = Field(description="The failure's name: diverged, out_of_memory, killed, hang, lost …")
    reason: str | None
    hint: str | None
    last_epoch: int
    last_val_accuracy: float | None = Field(description="As it counts: with TTA where the recipe asks for it")
    last_plain_accuracy: float | None = Field(description="Without TTA; null: the recipe has none, the other is plain")
    best_val_accuracy: float | None = Field(description="As it counts")
    best_plain_accuracy: float | None = Field(description="Likewise, of `best_epoch`")
    best_epoch: int | None
    time_to_target: float | None
    elapsed_seconds: float
    spent_seconds: float
    tta_seconds: float = Field(description="What the further views of validation pictures took, over the shown epochs")
    energy_wh: float | None = Field(description="Of the device, over the shown epochs; null: not measured")
    worker: str | None = Field(description="That the latest attempt ran on; likewise the next three")
    hardware: str | None
    fingerprint: str | None = Field(description="Of the pictures: equal pictures, equal print")
    version: str | None = Field(description="Pitwall's")
    is_resumed: bool = Field(description="Its curve is that of several attempts")


class ArtifactResponse(ResponseModel):
    name: str
    bytes: int
    sha256: str
    attempt: int
    epoch: int = Field(description="Finished epochs in it")
    step: int = Field(description="And finished steps of the epoch after these")
    at: datetime


class ClocksResponse(BaseModel):
    """How long a run took, by three clocks, and how well it used its device."""

    train_seconds: float = Field(description="The shown epochs alone: no start, compilation or validation")
    job_seconds: float | None = Field(description="From the claim to the result, of the attempt that finished")
    job_remark: str | None = Field(description="What of the run is not in it, or why there is none")
    cold_seconds: float | None = Field(description="The job, where its process was new and had no compiled program")
    cold_remark: str | None = Field(description="Why it was not measured")
    startup_seconds: float | None = Field(description="Of the latest attempt: until its programs were compiled")
    pictures: int | None = Field(description="That the net was trained on, each as often as it was")
    mfu: float | None = Field(description="Operations of the training over what the device could do in its time")
    mfu_remark: str = Field(description="Of which peak, or why it is not known")


class RunDetails(RunResponse):
    """One run with its attempts and, while it trains, where it stands."""

    attempts: list[AttemptResponse]
    artifacts: list[ArtifactResponse]
    clocks: ClocksResponse
    resumed_from_epoch: int = 0
    step: dict[str, Any] | None = None
    is_silent: bool = Field(False, description="Its worker has not been heard of for some seconds")


class RetryRequest(RequestModel):
    """Where to begin: at the newest checkpoint, or from scratch."""

    source: Literal["checkpoint", "scratch"] = Field("checkpoint", alias="from")


class LaunchResponse(BaseModel):
    runs: list[RunResponse]
