"""Requests and responses of tasks, for the workers that execute them and for the clients that request them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from app.json_shapes import RequestModel

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class TaskResponse(BaseModel):
    """A task: fetch `weights` (and `picture`), then send `answer` or `file`, all below /worker/tasks/{task}."""

    kind: Literal["task"] = "task"
    task: int
    what: Literal["look", "export"]
    run: int
    sha256: str = Field(description="SHA-256 of the weights")
    format: str | None


class TaskPrediction(RequestModel):
    """The prediction of a trained model for an image."""

    classes: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    probabilities: Annotated[list[Share], Field(max_length=10_000)]
    seen: Annotated[str, Field(max_length=16_000, pattern="^[A-Za-z0-9+/]+={0,2}$", description="PNG, base64")]
    epoch: int = Field(ge=0, lt=2**31)

    @model_validator(mode="after")
    def _one_for_each(self) -> TaskPrediction:
        if len(self.classes) != len(self.probabilities):
            raise ValueError("must have a probability for each class")
        return self


class TaskAnswer(RequestModel):
    look: TaskPrediction | None = None
    problem: Annotated[str, Field(max_length=1000)] | None = None
    field: Literal["picture"] | None = Field(
        None, description="Field of the client's request that the problem is about, if any"
    )


class PredictedClass(BaseModel):
    name: str
    probability: float


class PredictionResponse(BaseModel):
    classes: list[PredictedClass] = Field(description="The most likely first")
    epoch: int = Field(description="Epoch of the weights: the run's best")
    accuracy: float | None = Field(description="Accuracy of this epoch used for ranking (with TTA if enabled)")
    plain_accuracy: float | None = Field(
        description="`accuracy` without TTA, as this prediction is; null if the recipe uses no TTA"
    )
    seen: str = Field(description="The image as the model received it, 32 x 32 pixels: a data URL")
