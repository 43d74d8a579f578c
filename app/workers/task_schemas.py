"""JSON of the tasks, for workers who do them and for people who ask. Must not know what becomes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from app.json_shapes import RequestModel

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class TaskClaimed(BaseModel):
    """A task: fetch `weights` (and `picture`), then send `answer` or `file`, all below /worker/tasks/{task}."""

    kind: Literal["task"] = "task"
    task: int
    what: Literal["look", "export"]
    run: int
    sha256: str = Field(description="Of the weights")
    format: str | None


class LookSaid(RequestModel):
    """What a trained net takes a picture for."""

    classes: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    probabilities: Annotated[list[Share], Field(max_length=10_000)]
    seen: Annotated[str, Field(max_length=16_000, pattern="^[A-Za-z0-9+/]+={0,2}$", description="PNG, base64")]
    epoch: int = Field(ge=0, lt=2**31)

    @model_validator(mode="after")
    def _one_for_each(self) -> LookSaid:
        if len(self.classes) != len(self.probabilities):
            raise ValueError("must have a probability for each class")
        return self


class TaskAnswered(RequestModel):
    look: LookSaid | None = None
    problem: Annotated[str, Field(max_length=1000)] | None = None
    field: Literal["picture"] | None = Field(None, description="What the problem is with, where it is the asker's")


class PredictedClass(BaseModel):
    name: str
    probability: float


class Predicted(BaseModel):
    classes: list[PredictedClass] = Field(description="The likeliest first")
    epoch: int = Field(description="After which the weights were taken: the best")
    seen: str = Field(description="What the net was given, 32 x 32 pixels: a data URL")
