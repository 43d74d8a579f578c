"""The trainer's events: one JSON object per line, distinguished by its `event` key.

The child writes them, the worker forwards them unread, the app stores them. Accuracies are fractions (0..1), times are
seconds, a loss that is not finite is null.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Phase = Literal["loading", "compiling", "training", "evaluating", "saving"]


class BaseEvent(BaseModel):
    """Base of all events. Unknown keys are kept: a newer trainer may send more."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="null")

    @model_validator(mode="before")
    @classmethod
    def _sanitise_input(cls, value: Any) -> Any:
        """Non-finite numbers become null, characters that UTF-8 cannot encode become question marks."""
        return _sanitise(value)


class Started(BaseEvent):
    """Sent once device, data and model are known, before training."""

    event: Literal["started"] = "started"
    train_images: int
    val_images: int
    classes: list[str]
    steps_per_epoch: int
    parameters: dict[str, int]  # total, trainable, non_trainable
    environment: dict[str, Any]  # versions, commit, device, driver, dataset fingerprint, backend, augment engine
    resumed_from_epoch: int = 0  # completed epochs of the checkpoint that the run resumes from
    resumed_at_step: int = 0  # completed steps of the next epoch
    differs: list[
        str
    ] = []  # differences to the checkpoint's environment; if empty, on a CPU, results are bit-identical
    training_flops: int | None = None  # floating-point operations per training image, forward and backward
    peak_flops: float | None = None  # of the device in the run's precision, FLOP/s
    peak_source: str | None = None  # datasheet; earlier versions also: measured
    is_warm: bool = False  # the process was started before the run was claimed
    compile_cache: str | None = None  # off, empty or used: whether compiled programs of earlier runs were found
    startup_seconds: float | None = None  # from process start, or from the claim if warm, to the end of compilation


class Step(BaseEvent):
    """Current progress, sent at least once a second. Shown, never stored."""

    event: Literal["step"] = "step"
    phase: Phase
    epoch: int = 0  # 0 before the first epoch
    step: int = 0  # completed steps of this epoch
    steps_per_epoch: int = 0
    train_loss: float | None = None
    train_accuracy: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    seconds: float = 0.0  # since the start of this epoch or phase


class EpochEnded(BaseEvent):
    """The results of one epoch."""

    event: Literal["epoch"] = "epoch"
    epoch: int = Field(ge=1)
    train_loss: float | None  # without the weight-decay penalty
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    tta_accuracy: float | None = None  # with test-time augmentation; null if the recipe has none
    learning_rate: float  # of the epoch's last step
    penalty: float | None = None
    seconds: float = Field(ge=0)  # from preparing the first batch to the device-synchronised end of the last step
    input_seconds: float = 0.0  # part of `seconds` in which the device waited for images
    val_seconds: float = 0.0
    tta_seconds: float = 0.0  # for the additional views, not included in val_seconds
    compile_seconds: float = 0.0  # before this epoch, not included in `seconds`
    predictions: str | None = None  # last epoch only, packed by trainer.data.predictions
    confidences: str | None = None  # probability of each predicted class, packed the same way
    energy_wh: float | None = None  # used by the device during `seconds`; null: not measured
    busy: float | None = Field(
        None, ge=0, le=1
    )  # fraction of the time since the previous epoch that the device was busy
    memory_bytes: int | None = Field(None, ge=0, lt=2**62)  # peak use of device memory since then, by all processes


class Change(BaseModel):
    """The effect of one operation on a batch: fractions (0..1) of pixels and of images that it changed."""

    name: str  # the operation, or mixup
    position: int | None  # in the recipe's list; null for mixup
    pixels: float
    pictures: float = 0.0


class Evidence(BaseEvent):
    """What the first step of an epoch did, measured on its batch. trainer.recipe.evidence compares it to the recipe."""

    event: Literal["evidence"] = "evidence"
    epoch: int = Field(ge=1)
    pictures: int  # images in the batch
    changes: list[Change]  # in order of execution
    is_what_the_step_saw: bool  # applying the operations one by one gives exactly this batch
    new_pixels: float | None  # fraction of pixels that differ from the same images in epoch 1; null in epoch 1
    learning_rate: float
    label_entropy: float  # nats
    input_low: float
    input_high: float
    gradient_norm: float | None  # null if not finite: the run is about to diverge
    decay_norm: float | None
    weight_norm: float


class CheckpointSaved(BaseEvent):
    """A checkpoint to resume from has been written to disk."""

    event: Literal["checkpoint"] = "checkpoint"
    epoch: int  # completed epochs
    step: int = 0  # completed steps of the next epoch
    bytes: int = 0
    seconds: float = 0.0  # from reading the device to the finished file, mostly in parallel to training
    waited_seconds: float = 0.0  # part of it in which training was blocked


class CheckpointFailed(BaseEvent):
    """This checkpoint could not be written (disk full). The run continues, and the previous checkpoint is kept."""

    event: Literal["not_saved"] = "not_saved"
    epoch: int
    step: int = 0
    message: str


class Finished(BaseEvent):
    """All epochs are completed."""

    event: Literal["finished"] = "finished"
    epochs: int


class Failed(BaseEvent):
    """The run cannot continue."""

    event: Literal["failed"] = "failed"
    kind: str  # a kind of trainer.failures
    message: str
    hint: str = ""


Event = Annotated[
    Started | Step | EpochEnded | Evidence | CheckpointSaved | CheckpointFailed | Finished | Failed,
    Field(discriminator="event"),
]
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)


def to_json_line(event: BaseEvent) -> str:
    """The event as one line of JSON, without its newline. Not-finite numbers become null."""
    return event.model_dump_json()


def _sanitise(value: Any, depth: int = 20) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("must be below 2^63")
    if isinstance(value, dict | list) and not depth:
        raise ValueError("is nested too deep")
    if isinstance(value, dict):
        return {_sanitise(key): _sanitise(inner, depth - 1) for key, inner in value.items()}
    return [_sanitise(inner, depth - 1) for inner in value] if isinstance(value, list) else value
