"""Previews of a recipe: its learning rates and its augmented images.

Computed by the training code from the same seed: image n of a preview is image n of epoch 1. The first image preview
loads imgaug.
"""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRecipe
from trainer.augment.normalisation import PerChannel, compute_normalisation, to_uint8
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection, batch_labels, first_images
from trainer.data.gallery import Gallery, Split
from trainer.failures import CannotTrain
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Cutout
from trainer.recipe.learning_rates import calendar, learning_rates

MAX_STEPS = 200_000  # of a schedule's preview: more than any screen has pixels, and still a few megabytes
MAX_IMAGES = 64
LATER_EPOCHS = (2, 3)  # further draws of the same images
CUTOUT_RANGES = ("0..1", "0..127")  # input ranges in which the original experiment tried its cutout
CACHE_SIZE = 16  # normalisations: computing one reads every training image


@dataclass(frozen=True)
class StageImage:
    """An image after one operation. `png`: a data URL. `side` in pixels."""

    name: str
    position: int | None
    png: str
    side: int


@dataclass(frozen=True)
class ImagePreview:
    """One image of epoch 1: its number in the data set, its label, each stage, and the same image in later epochs."""

    number: int
    label: dict[str, float]  # class name -> share, the larger first
    stages: list[StageImage]
    later: list[StageImage]


@dataclass(frozen=True)
class AugmentationPreview:
    images: list[ImagePreview]
    ranges: dict[str, list[StageImage]]  # input range -> the first images, with the recipe's cutout in that range


def compute_rates(recipe: Recipe, train_images: int) -> NDArray[np.float32]:
    """The learning rate of every step. Raises InvalidRecipe if there are no steps, or more than MAX_STEPS."""
    total = calendar(recipe, train_images).total
    if not total:
        raise no_steps_error(train_images)
    if total > MAX_STEPS:
        raise InvalidRecipe([("epochs", f"make {total:,} steps; a preview shows at most {MAX_STEPS:,}")])
    return learning_rates(recipe, train_images)


def no_steps_error(train_images: int) -> InvalidRecipe:
    return InvalidRecipe([("batch_size", f"leaves no step for {train_images} training images: use smaller batches")])


class AugmentationPreviews:
    """Renders previews of augmented images, one at a time: each takes a core."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._lock = Lock()
        self._normalisations: OrderedDict[tuple[str, str], tuple[PerChannel, PerChannel]] = OrderedDict()

    def augmentation(self, recipe: Recipe, count: int) -> AugmentationPreview:
        """The first `count` (1..64) images of epoch 1. Raises InvalidRecipe if the data set cannot be read."""
        with self._lock:
            try:
                shelf = self.gallery.training(recipe.dataset)
            except CannotTrain as problem:
                raise InvalidRecipe([("dataset.name", f"{problem}. {problem.hint}".strip())]) from None
            return self._render(recipe, shelf, min(count, MAX_IMAGES))

    def _render(self, recipe: Recipe, shelf: Split, count: int) -> AugmentationPreview:
        pipeline = Pipeline(recipe, shelf.images, self._normalisation(recipe.normalize, shelf))
        selection = first_images(recipe, len(shelf.labels), 1, count)
        if not len(selection):
            raise no_steps_error(len(shelf.labels))
        stages = [
            (stage.name, stage.position, _stage_images(stage.name, stage.position, stage.pictures, pipeline))
            for stage in pipeline.stages(1, selection)
        ]
        unmixed = Selection(selection.pictures)
        later = [
            _stage_images(f"epoch {epoch}", None, pipeline.batch(epoch, unmixed), pipeline) for epoch in LATER_EPOCHS
        ]
        labels = _labels(batch_labels(selection, shelf.labels, len(shelf.classes)), shelf.classes)
        images = [
            ImagePreview(
                int(number), labels[row], [drawn[row] for _, _, drawn in stages], [drawn[row] for drawn in later]
            )
            for row, number in enumerate(selection.pictures)
        ]
        return AugmentationPreview(images, self._cutout_ranges(recipe, shelf, unmixed))

    def _cutout_ranges(self, recipe: Recipe, shelf: Split, selection: Selection) -> dict[str, list[StageImage]]:
        """Only for recipes with cutout: the same rectangles and values, in each input range."""
        if not any(isinstance(operation, Cutout) for operation in recipe.augment):
            return {}
        ranges = {}
        first = Selection(selection.pictures[:8])
        for kind in CUTOUT_RANGES:
            other = Pipeline(recipe.model_copy(update={"normalize": kind}), shelf.images)
            ranges[kind] = _stage_images(kind, None, other.batch(1, first), other)
        return ranges

    def _normalisation(self, kind: str, shelf: Split) -> tuple[PerChannel, PerChannel]:
        key = (kind, shelf.key)
        if key not in self._normalisations:
            self._normalisations[key] = compute_normalisation(kind, shelf.images)
            while len(self._normalisations) > CACHE_SIZE:
                self._normalisations.popitem(last=False)
        return self._normalisations[key]


def _labels(labels: NDArray[Any], classes: tuple[str, ...]) -> list[dict[str, float]]:
    if labels.ndim == 1:
        return [{classes[label]: 1.0} for label in labels]
    return [
        {classes[label]: float(row[label]) for label in np.argsort(-row, kind="stable") if row[label] > 0}
        for row in labels
    ]


def _stage_images(name: str, position: int | None, images: NDArray[Any], pipeline: Pipeline) -> list[StageImage]:
    pixels = to_uint8(images, pipeline.scale, pipeline.shift)
    return [StageImage(name, position, png_data_url(image), image.shape[0]) for image in pixels]


def png_data_url(image: NDArray[np.uint8]) -> str:
    """`image`: (height, width, 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
