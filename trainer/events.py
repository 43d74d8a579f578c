"""What the trainer says: one JSON object a line, told apart by its `event` key.

The child writes these, the worker carries them unread, the app stores them. Must not know any of the three.
Accuracies are shares (0..1), times are seconds, a loss that is not finite is null.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Phase = Literal["loading", "compiling", "training", "evaluating", "saving"]


class BaseEvent(BaseModel):
    """Base of all events. Keys that this version does not know are kept: a newer trainer may say more."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="null")

    @model_validator(mode="before")
    @classmethod
    def _is_plain(cls, said: Any) -> Any:
        """Numbers that are none become null, what UTF-8 cannot hold a question mark: every reader can have it."""
        return _sanitise(said)


class Started(BaseEvent):
    """The child knows its device, its data and its net, and is about to train."""

    event: Literal["started"] = "started"
    train_images: int
    val_images: int
    classes: list[str]
    steps_per_epoch: int
    parameters: dict[str, int]  # total, trainable, non_trainable
    environment: dict[str, Any]  # versions, commit, device, driver, dataset fingerprint, backend, augment engine
    resumed_from_epoch: int = 0  # completed epochs of the checkpoint that the run goes on from
    resumed_at_step: int = 0  # finished steps of the epoch after that
    differs: list[str] = []  # from where the checkpoint was made, in words; empty and on a CPU: the result is bit-same
    training_flops: int | None = None  # floating-point operations of one training picture, forward and backward
    peak_flops: float | None = None  # of the device in the run's precision, FLOP/s
    peak_source: str | None = None  # datasheet, or measured
    is_warm: bool = False  # the process was started before the run was claimed
    compile_cache: str | None = None  # off, empty, or used: whether compiled programs of earlier runs were there
    startup_seconds: float | None = None  # process's start, or the order to a warm one, to the end of compilation


class Step(BaseEvent):
    """Where the run stands, said at least once a second. Shown, never stored."""

    event: Literal["step"] = "step"
    phase: Phase
    epoch: int = 0  # 0 before the first epoch
    step: int = 0  # finished steps of this epoch
    steps_per_epoch: int = 0
    train_loss: float | None = None
    train_accuracy: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    seconds: float = 0.0  # since this epoch (or phase) began


class EpochEnded(BaseEvent):
    """One row: what an epoch learned and what it took."""

    event: Literal["epoch"] = "epoch"
    epoch: int = Field(ge=1)
    train_loss: float | None  # data loss; the weight-decay penalty is apart
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    tta_accuracy: float | None = None  # the same with test-time augmentation; null: the recipe has none
    learning_rate: float  # of the epoch's last step
    penalty: float | None = None
    seconds: float = Field(ge=0)  # first batch's preparation to the device-synchronised end of the last step
    input_seconds: float = 0.0  # of which the device waited for pictures
    val_seconds: float = 0.0
    tta_seconds: float = 0.0  # what the further views took, beside val_seconds
    compile_seconds: float = 0.0  # before this epoch, outside `seconds`
    predictions: str | None = None  # of the last epoch, packed by trainer.data.predictions
    confidences: str | None = None  # the probability that each was given, likewise
    energy_wh: float | None = None  # of the device during `seconds`; null: not measured
    busy: float | None = Field(None, ge=0, le=1)  # share of the time since the epoch before that the device was in use
    memory_bytes: int | None = Field(None, ge=0, lt=2**62)  # most that was in use on the device meanwhile, by anybody


class Change(BaseModel):
    """What one operation did to a batch: shares (0..1) of its pixels and of its pictures that differ afterwards."""

    name: str  # of the operation, or mixup
    position: int | None  # in the recipe's list
    pixels: float
    pictures: float = 0.0


class Evidence(BaseEvent):
    """What the first step of an epoch really did, measured on the batch that it saw (trainer.recipe.evidence)."""

    event: Literal["evidence"] = "evidence"
    epoch: int = Field(ge=1)
    pictures: int  # in the batch
    changes: list[Change]  # in the order done
    is_what_the_step_saw: bool  # the changes, done again one by one, make exactly that batch
    new_pixels: float | None  # share of pixels that differ from how the same pictures looked in epoch 1; there: null
    learning_rate: float
    label_entropy: float  # nats
    input_low: float
    input_high: float
    gradient_norm: float | None  # null where it is no finite number: the run is about to diverge
    decay_norm: float | None
    weight_norm: float


class CheckpointSaved(BaseEvent):
    """Everything that the run needs to go on from here is on the disk."""

    event: Literal["checkpoint"] = "checkpoint"
    epoch: int  # completed epochs
    step: int = 0  # finished steps of the epoch after that
    bytes: int = 0
    seconds: float = 0.0  # from the first look at the device to the file in its place, most of it beside the training
    waited_seconds: float = 0.0  # of which the training stood still


class CheckpointFailed(BaseEvent):
    """This checkpoint could not be written (a full disk). The run goes on, and the older checkpoint is kept."""

    event: Literal["not_saved"] = "not_saved"
    epoch: int
    step: int = 0
    message: str


class Finished(BaseEvent):
    """All epochs are done."""

    event: Literal["finished"] = "finished"
    epochs: int


class Failed(BaseEvent):
    """The child knows why it cannot go on."""

    event: Literal["failed"] = "failed"
    kind: str  # a word of trainer.failures
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
