"""JSON of sweeps, previews, presets and data sets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.images.augmentation import MOST_PICTURES
from app.json_shapes import RequestModel, ResponseModel
from app.runs.schemas import RunAsked, RunShown
from trainer.recipe.knobs import merge


class RecipeAsked(RequestModel):
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


class ScheduleAsked(RecipeAsked):
    """`schedule`, `epochs`, `batch_size` and `dataset` are as in a recipe; a data set may be just its name."""

    schedule: Any = None
    epochs: Any = None
    batch_size: Any = None
    dataset: Any = None


class AugmentationAsked(RecipeAsked):
    dataset: Any = None
    augment: Any = None
    mixup: Any = None
    normalize: Any = None
    seed: Any = None
    count: int = Field(16, ge=1, le=MOST_PICTURES)


class ScheduleShown(BaseModel):
    learning_rate: list[float] = Field(description="One per step of the whole run, as trained with (float32)")
    steps_per_epoch: int


class StageShown(BaseModel):
    name: str = Field(description="stored, mixup, normalise, or the operation")
    position: int | None = Field(description="In the recipe's list of operations")
    png: str = Field(description="A PNG as a data URL")


class PictureShown(BaseModel):
    """Picture n of the answer is picture n of epoch 1."""

    number: int = Field(description="In the data set's training pictures, from 0")
    label: dict[str, float] = Field(description="Class and share; two with mixup")
    before: str = Field(description="As stored: a PNG as a data URL")
    after: str = Field(description="As the net will see it, in epoch 1")
    stages: list[StageShown]
    later: list[StageShown] = Field(description="How epochs 2 and 3 will see the same picture, unmixed")


class AugmentationShown(BaseModel):
    pictures: list[PictureShown]


class CheckShown(ResponseModel):
    warnings: list[WarningShown]


class AxisAsked(RequestModel):
    knob: str = Field(max_length=200, description="Path of a knob: schedule.max_lr, augment.0.p")
    values: Annotated[list[Any], Field(min_length=1, max_length=100)]


class SweepAsked(RunAsked):
    over: Annotated[list[AxisAsked], Field(min_length=1, max_length=2)]
    dry_run: bool = Field(False, description="Answer what would be launched, and launch nothing")


class SweepShown(BaseModel):
    points: list[dict[str, Any]] = Field(description="Knob to value of each run, without its repeats")
    runs: list[RunShown]


class PresetShown(ResponseModel):
    name: str
    version: int
    title: str
    description: str
    recipe: dict[str, Any]


class WarningShown(ResponseModel):
    """A remark about a recipe; `fix` is the partial recipe that mends it, empty where there is none."""

    code: str
    path: str
    text: str
    mend: str
    fix: dict[str, Any]


class DatasetShown(ResponseModel):
    name: str
    title: str
    train_images: int | None
    val_images: int | None
    classes: list[str]
    available: bool
    note: str
