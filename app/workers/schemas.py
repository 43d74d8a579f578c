"""Requests and responses of the worker protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.json_shapes import Name, RequestModel, ResponseModel, Tag
from trainer.events import Event
from trainer.protocol import Command, Outcome


class DeviceLoad(RequestModel):
    """Current load of the worker's device (trainer.machine.device_load.Reading); null: not known."""

    busy: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    memory: int | None = Field(None, ge=0, lt=2**62)
    memory_total: int | None = Field(None, ge=0, lt=2**62)
    temperature: float | None = Field(None, ge=-300, le=1000, allow_inf_nan=False)
    watts: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)


class ClaimRequest(RequestModel):
    kind: Literal["run", "task"] = Field("run", description="A task is short and needs no GPU: it runs beside a run")
    worker: Annotated[Name, Field(min_length=1, max_length=120)]
    device: Annotated[Name, Field(min_length=1, max_length=120)]
    backends: Annotated[list[Tag], Field(min_length=1, max_length=8)]
    wait_s: float = Field(20, ge=0, le=25)
    trouble: Annotated[str, Field(max_length=500)] = Field(
        "", description="Why the worker cannot take a run now; none is assigned to it"
    )
    gauge: DeviceLoad | None = None


class HeldCheckpoint(ResponseModel):
    epoch: int
    step: int
    sha256: str
    bytes: int


class ResumeResponse(ResponseModel):
    """Where an attempt may resume. `checkpoint`: the newest that was uploaded; the worker may have a newer one."""

    known_epoch: int = Field(description="The app has stored epochs 1 to this one")
    checkpoint: HeldCheckpoint | None


class ClaimResponse(BaseModel):
    kind: Literal["run"] = "run"
    run: int
    attempt: int
    recipe: dict[str, Any]
    lease_s: float
    trail: str = Field(
        description="Identifies checkpoints of the same training; a retry from scratch begins a new trail"
    )
    resume: ResumeResponse | None = Field(description="null: this is the first attempt of its trail")
    next: dict[str, Any] | None = Field(
        None, description="Recipe of the run that is likely to be next, to prepare for; not a promise"
    )


class ReportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first_seq: int = Field(0, ge=0, lt=2**62)
    events: Annotated[list[Event], Field(max_length=2000)] = []
    log_offset: int = Field(0, ge=0, lt=2**62)
    log: str = Field("", max_length=1024 * 1024)  # with a limit, pydantic checks the text as well


class ReportResponse(BaseModel):
    next_seq: int
    log_size: int


class BeatRequest(RequestModel):
    gauge: DeviceLoad | None = None


class BeatResponse(BaseModel):
    lease_s: float
    command: Command


class FinishRequest(RequestModel):
    outcome: Outcome
    exit_code: int | None = None
    failure: Annotated[str, Field(max_length=32, pattern="^[a-z_]+$")] | None = None
    reason: Annotated[str, Field(max_length=4000)] | None = None
    hint: Annotated[str, Field(max_length=1000)] | None = None
