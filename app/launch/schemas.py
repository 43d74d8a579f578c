"""JSON of sweeps, previews, presets and data sets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.images.augmentation import MAX_IMAGES
from app.json_shapes import RequestModel, ResponseModel
from app.runs.schemas import LaunchRequest, RunResponse
from trainer.recipe.knobs import merge


class RecipeRequest(RequestModel):
    """A preset, a (partial) recipe laid over it, or both."""

    preset: str | None = Field(None, max_length=64)
    recipe: dict[str, Any] = Field(default_factory=dict)

    def partial(self) -> dict[str, Any]:
        """The recipe with the parts that stand beside it laid over."""
        own = {"preset", "recipe", "count"}
        parts = {key: getattr(self, key) for key in self.model_fields_set - own}
        if isinstance(parts.get("dataset"), str):
            parts["dataset"] = {"name": parts["dataset"]}
        return merge(self.recipe, parts)


class ScheduleRequest(RecipeRequest):
    """`schedule`, `epochs`, `batch_size` and `dataset` are as in a recipe; a data set may be just its name."""

    schedule: Any = None
    epochs: Any = None
    batch_size: Any = None
    dataset: Any = None


class AugmentationRequest(RecipeRequest):
    dataset: Any = None
    augment: Any = None
    mixup: Any = None
    normalize: Any = None
    seed: Any = None
    count: int = Field(16, ge=1, le=MAX_IMAGES)


class ScheduleResponse(BaseModel):
    learning_rate: list[float] = Field(description="One per step of the whole run, as trained with (float32)")
    steps_per_epoch: int


class StageResponse(BaseModel):
    name: str = Field(description="stored, mixup, normalise, or the operation")
    position: int | None = Field(description="In the recipe's list of operations")
    png: str = Field(description="A PNG as a data URL")


class PreviewImage(BaseModel):
    """Picture n of the answer is picture n of epoch 1."""

    number: int = Field(description="In the data set's training pictures, from 0")
    label: dict[str, float] = Field(description="Class and share; two with mixup")
    before: str = Field(description="As stored: a PNG as a data URL")
    after: str = Field(description="As the net will see it, in epoch 1")
    stages: list[StageResponse]
    later: list[StageResponse] = Field(description="How epochs 2 and 3 will see the same picture, unmixed")


class AugmentationResponse(BaseModel):
    pictures: list[PreviewImage]


class CheckResponse(ResponseModel):
    warnings: list[WarningResponse]


class SweepAxis(RequestModel):
    knob: str = Field(max_length=200, description="Path of a knob: schedule.max_lr, augment.0.p")
    values: Annotated[list[Any], Field(min_length=1, max_length=100)]


class SweepRequest(LaunchRequest):
    over: Annotated[list[SweepAxis], Field(min_length=1, max_length=2)]
    dry_run: bool = Field(False, description="Answer what would be launched, and launch nothing")


class SweepResponse(BaseModel):
    points: list[dict[str, Any]] = Field(description="Knob to value of each run, without its repeats")
    runs: list[RunResponse]


class PresetResponse(ResponseModel):
    name: str
    version: int
    title: str
    description: str
    recipe: dict[str, Any]


class WarningResponse(ResponseModel):
    """A remark about a recipe; `fix` is the partial recipe that mends it, empty where there is none."""

    code: str
    path: str
    text: str
    mend: str
    fix: dict[str, Any]


class DatasetResponse(ResponseModel):
    name: str
    title: str
    train_images: int | None
    val_images: int | None
    classes: list[str]
    available: bool
    note: str
