"""JSON in and out of the API, never tables. Times are RFC 3339 in UTC, accuracies shares (0..1), durations seconds.

Must not know how anything is stored or decided.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _printable(text: str) -> str:
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        raise ValueError("must not hold control characters")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be a single line")
    return _printable(text)


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_one_line)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), AfterValidator(_one_line)]
Notes = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_printable)]
Priority = Annotated[int, Field(ge=-100, le=100)]
MOST_TAGS = 20
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]


class Asked(BaseModel):
    """Base of what clients send: unknown keys are errors, and types must fit."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RunAsked(Asked):
    """A run to launch: a preset, a (partial) recipe laid over it, or both."""

    preset: str | None = Field(None, max_length=64)
    recipe: dict[str, Any] = {}
    name: Name = ""
    tags: Tags = []
    notes: Notes = ""
    repeats: int = Field(1, ge=1, le=100, description="Launch so many runs with seeds seed, seed+1, …")
    priority: Priority = 0


class AxisAsked(Asked):
    knob: str = Field(max_length=200, description="Path of a knob: schedule.max_lr, augment.0.p")
    values: Annotated[list[Any], Field(min_length=1, max_length=100)]


class SweepAsked(RunAsked):
    over: Annotated[list[AxisAsked], Field(min_length=1, max_length=2)]
    dry_run: bool = Field(False, description="Answer what would be launched, and launch nothing")


class CloneAsked(Asked):
    """What the clone shall have otherwise."""

    recipe: dict[str, Any] = {}
    name: Name = ""


class RunEdited(Asked):
    """Only the keys that are sent change."""

    name: Annotated[Name, Field(min_length=1)] | None = None
    tags: Tags | None = None
    notes: Notes | None = None
    priority: Priority | None = None


class MoveAsked(Asked):
    before: int | None = Field(ge=1, lt=2**63, description="The id of a run that waits; null: behind all of them")


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AttemptShown(Shown):
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


class RunShown(Shown):
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


class ArtifactShown(Shown):
    name: str
    bytes: int
    sha256: str
    attempt: int
    epoch: int = Field(description="Finished epochs in it")
    step: int = Field(description="And finished steps of the epoch after these")
    at: datetime


class ClocksShown(BaseModel):
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


class RunWhole(RunShown):
    """One run with its attempts and, while it trains, where it stands."""

    attempts: list[AttemptShown]
    artifacts: list[ArtifactShown]
    clocks: ClocksShown
    resumed_from_epoch: int = 0
    step: dict[str, Any] | None = None
    is_silent: bool = Field(False, description="Its worker has not been heard of for some seconds")


class RetryAsked(Asked):
    """Where to begin: at the newest checkpoint, or from scratch."""

    source: Literal["checkpoint", "scratch"] = Field("checkpoint", alias="from")


class SweepShown(BaseModel):
    points: list[dict[str, Any]] = Field(description="Knob to value of each run, without its repeats")
    runs: list[RunShown]


class RunsLaunched(BaseModel):
    runs: list[RunShown]


class RunsPage(BaseModel):
    runs: list[RunShown]
    next_cursor: str | None


class EpochShown(Shown):
    epoch: int
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None = Field(description="Plain")
    tta_accuracy: float | None = Field(description="With test-time augmentation: counts; null: the recipe has none")
    learning_rate: float
    seconds: float
    elapsed_seconds: float
    attempt: int
    penalty: float | None
    input_seconds: float
    val_seconds: float
    tta_seconds: float = Field(description="Of the further views, beside `val_seconds`")
    compile_seconds: float
    energy_wh: float | None = Field(description="Of the device during `seconds`; null: not measured")
    busy: float | None = Field(None, description="Share of the time that the device was in use; null: not known")
    memory_bytes: int | None = Field(None, description="Most that was in use on the device, by anybody")


class PresetShown(Shown):
    name: str
    version: int
    title: str
    description: str
    recipe: dict[str, Any]


class WarningShown(Shown):
    """A remark about a recipe; `fix` is the partial recipe that mends it, empty where there is none."""

    code: str
    path: str
    text: str
    mend: str
    fix: dict[str, Any]


class DatasetShown(Shown):
    name: str
    title: str
    train_images: int | None
    val_images: int | None
    classes: list[str]
    available: bool
    note: str


class WorkerShown(BaseModel):
    name: str
    device: str
    backends: list[str]
    present: bool
    seen_at: datetime
    run: int | None
    trouble: str | None = Field(description="Why it takes no runs")
    price_per_hour: float | None = Field(description="As you set it; null: not known")


class ProblemShown(BaseModel):
    """RFC 9457. `errors` names each field that is wrong; `field` is the first of them."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[dict[str, str]] = []


class LayerShown(Shown):
    name: str
    kind: str
    inputs: list[str] = Field(description="Names of the layers that it takes")
    block: str = Field(description="The part of the net that it belongs to")
    shape: list[int] = Field(description="Of its output, for one picture: height, width, channels; or features")
    parameters: int
    trainable: int
    frozen: int = Field(description="Parameters that are not learned: running statistics, whitening filters")
    flops: int = Field(description="Forward, one picture, 2 per multiply-add; element-wise work is not counted")
    training_flops: int = Field(description="Forward and backward, one picture")


class ArchitectureTotals(Shown):
    parameters: int
    trainable: int
    frozen: int
    flops: int
    training_flops: int


class ArchitectureShown(BaseModel):
    layers: list[LayerShown]
    totals: ArchitectureTotals
