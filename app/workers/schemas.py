"""JSON of the worker protocol, in and out; schemas.py is for people and scripts. Must not know what becomes of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.json_shapes import Name, RequestModel, ResponseModel, Tag
from trainer.events import Event
from trainer.protocol import Command, Outcome


class GaugeSaid(RequestModel):
    """Of the worker's device just now (trainer.machine.device_load.Reading); null: not known."""

    busy: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    memory: int | None = Field(None, ge=0, lt=2**62)
    memory_total: int | None = Field(None, ge=0, lt=2**62)
    temperature: float | None = Field(None, ge=-300, le=1000, allow_inf_nan=False)
    watts: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)


class ClaimRequest(RequestModel):
    kind: Literal["run", "task"] = Field("run", description="A task is short and needs no GPU: done beside a run")
    worker: Annotated[Name, Field(min_length=1, max_length=120)]
    device: Annotated[Name, Field(min_length=1, max_length=120)]
    backends: Annotated[list[Tag], Field(min_length=1, max_length=8)]
    wait_s: float = Field(20, ge=0, le=25)
    trouble: Annotated[str, Field(max_length=500)] = Field("", description="Why it takes no run now: it is given none")
    gauge: GaugeSaid | None = None


class HeldCheckpoint(ResponseModel):
    epoch: int
    step: int
    sha256: str
    bytes: int


class ResumeResponse(ResponseModel):
    """Where an attempt may go on. `checkpoint`: the newest that was handed in; the worker may have a newer one."""

    known_epoch: int = Field(description="The rows of epochs 1 to this one are here")
    checkpoint: HeldCheckpoint | None


class Claimed(BaseModel):
    kind: Literal["run"] = "run"
    run: int
    attempt: int
    recipe: dict[str, Any]
    lease_s: float
    trail: str = Field(description="Names the checkpoints that belong together; renewed by a retry from scratch")
    resume: ResumeResponse | None = Field(description="null: the first attempt of its trail")
    next: dict[str, Any] | None = Field(
        None, description="The recipe that would come after it, to get ready for; promises nothing"
    )


class ReportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first_seq: int = Field(0, ge=0, lt=2**62)
    events: Annotated[list[Event], Field(max_length=2000)] = []
    log_offset: int = Field(0, ge=0, lt=2**62)
    log: str = Field("", max_length=1024 * 1024)  # a limit makes pydantic look at the text, too


class Reported(BaseModel):
    next_seq: int
    log_size: int


class BeatRequest(RequestModel):
    gauge: GaugeSaid | None = None


class BeatAnswer(BaseModel):
    lease_s: float
    command: Command


class FinishRequest(RequestModel):
    outcome: Outcome
    exit_code: int | None = None
    failure: Annotated[str, Field(max_length=32, pattern="^[a-z_]+$")] | None = None
    reason: Annotated[str, Field(max_length=4000)] | None = None
    hint: Annotated[str, Field(max_length=1000)] | None = None
