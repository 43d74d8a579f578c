"""JSON of sweeps, previews, presets and data sets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.images.augmentation import MAX_IMAGES
from app.json_shapes import RequestModel, ResponseModel
from app.runs.schemas import LaunchRequest, RunResponse
from trainer.recipe.knobs import merge


class RecipeRequest(RequestModel):
    """A preset, a partial recipe that overrides it, or both."""

    preset: str | None = Field(None, max_length=64)
    recipe: dict[str, Any] = Field(default_factory=dict, description="Partial recipe, merged over the preset")

    def partial(self) -> dict[str, Any]:
        """The recipe, overridden by the parts that are given beside it."""
        not_parts = {"preset", "recipe", "count"}
        parts = {key: getattr(self, key) for key in self.model_fields_set - not_parts}
        if isinstance(parts.get("dataset"), str):
            parts["dataset"] = {"name": parts["dataset"]}
        return merge(self.recipe, parts)


class ScheduleRequest(RecipeRequest):
    """`schedule`, `epochs`, `batch_size` and `dataset` as in a recipe; `dataset` may also be just a name."""

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
    learning_rate: list[float] = Field(
        description="Learning rate of every step of the run, as used in training (float32)"
    )
    steps_per_epoch: int


class StageResponse(BaseModel):
    name: str = Field(description="stored, mixup, normalise, or the name of the operation")
    position: int | None = Field(description="Index in the recipe's list of operations")
    png: str = Field(description="A PNG as a data URL")


class PreviewImage(BaseModel):
    """Image n of the response is image n of epoch 1."""

    number: int = Field(description="Index in the training split, from 0")
    label: dict[str, float] = Field(description="Class to share; two classes with mixup")
    before: str = Field(description="The image as stored: a PNG as a data URL")
    after: str = Field(description="The image as the model is trained on it in epoch 1: a PNG as a data URL")
    stages: list[StageResponse]
    later: list[StageResponse] = Field(description="The same image in epochs 2 and 3, without mixup")


class AugmentationResponse(BaseModel):
    pictures: list[PreviewImage]


class WarningResponse(ResponseModel):
    """A warning about a recipe."""

    code: str
    path: str = Field(description="Path of the setting: schedule.max_lr")
    text: str
    mend: str = Field(description="Label of the fix; empty if there is none")
    fix: dict[str, Any] = Field(description="A partial recipe that resolves the warning; empty if there is none")


class CheckResponse(ResponseModel):
    warnings: list[WarningResponse]


class SweepAxis(RequestModel):
    knob: str = Field(max_length=200, description="Path of a setting: schedule.max_lr, augment.0.p")
    values: Annotated[list[Any], Field(min_length=1, max_length=100)]


class SweepRequest(LaunchRequest):
    over: Annotated[list[SweepAxis], Field(min_length=1, max_length=2)]
    dry_run: bool = Field(False, description="Return the points of the sweep without launching anything")


class SweepResponse(BaseModel):
    points: list[dict[str, Any]] = Field(
        description="Setting to value for each point of the sweep; each is launched `repeats` times"
    )
    runs: list[RunResponse]


class PresetResponse(ResponseModel):
    name: str
    version: int
    title: str
    description: str
    recipe: dict[str, Any]


class DatasetResponse(ResponseModel):
    name: str
    title: str
    train_images: int | None
    val_images: int | None
    classes: list[str]
    available: bool
    note: str
