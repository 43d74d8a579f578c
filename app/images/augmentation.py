"""What a recipe will do, before it is launched: its learning rates, its changed pictures. Pure but for the gallery.

Computed by the code that trains, from the same seed: picture n of a preview is picture n of epoch 1.
Must not know HTTP, HTML or the database. Loads imgaug at the first preview of pictures.
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
from trainer.augment.normalisation import PerChannel, normalisation, shown
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection, first_places, labels_of
from trainer.data.gallery import Gallery, Shelf
from trainer.failures import CannotTrain
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Cutout
from trainer.recipe.learning_rates import calendar, learning_rates

MAX_STEPS = 200_000  # of a schedule's preview: more than any screen has pixels, and still a few megabytes
MAX_IMAGES = 64
LATER_EPOCHS = (2, 3)  # further draws of the same pictures
BOTH_RANGES = ("0..1", "0..127")  # in which the original experiment tried its cutout
CACHE_SIZE = 16  # normalisations remembered: each takes a look at every training picture


@dataclass(frozen=True)
class Seen:
    """A picture at one point of its way. `png`: a data URL. `side` in pixels."""

    name: str
    position: int | None
    png: str
    side: int


@dataclass(frozen=True)
class Previewed:
    """One picture of epoch 1: its number in the data set, its label, its way, and how later epochs will see it."""

    number: int
    label: dict[str, float]  # class name -> share, the larger first
    stages: list[Seen]
    later: list[Seen]

    @property
    def words(self) -> str:
        return " + ".join(name if share == 1 else f"{share:.2f} {name}" for name, share in self.label.items())


@dataclass(frozen=True)
class Augmentation:
    pictures: list[Previewed]
    ranges: dict[str, list[Seen]]  # input range -> the first pictures, erased with the recipe's values in that range


def rates(recipe: Recipe, train_images: int) -> NDArray[np.float32]:
    """The learning rate of every step. Raises InvalidRecipe where there is no step, or too many to show."""
    total = calendar(recipe, train_images).total
    if not total:
        raise no_step(train_images)
    if total > MAX_STEPS:
        raise InvalidRecipe([("epochs", f"make {total:,} steps; a preview shows at most {MAX_STEPS:,}")])
    return learning_rates(recipe, train_images)


def no_step(train_images: int) -> InvalidRecipe:
    return InvalidRecipe([("batch_size", f"leaves no step for {train_images} training pictures: take smaller batches")])


class Previews:
    """Previews of pictures. One at a time: they take a core."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._busy = Lock()
        self._normal: OrderedDict[tuple[str, str], tuple[PerChannel, PerChannel]] = OrderedDict()

    def augmentation(self, recipe: Recipe, count: int) -> Augmentation:
        """The first `count` (1..64) pictures of epoch 1. Raises InvalidRecipe where the data cannot be read."""
        with self._busy:
            try:
                shelf = self.gallery.training(recipe.dataset)
            except CannotTrain as problem:
                raise InvalidRecipe([("dataset.name", f"{problem}. {problem.hint}".strip())]) from None
            return self._augmentation(recipe, shelf, min(count, MAX_IMAGES))

    def _augmentation(self, recipe: Recipe, shelf: Shelf, count: int) -> Augmentation:
        pipeline = Pipeline(recipe, shelf.images, self._normalisation(recipe.normalize, shelf))
        selection = first_places(recipe, len(shelf.labels), 1, count)
        if not len(selection):
            raise no_step(len(shelf.labels))
        stages = [
            (stage.name, stage.position, _seen(stage.name, stage.position, stage.pictures, pipeline))
            for stage in pipeline.stages(1, selection)
        ]
        alone = Selection(selection.pictures)
        later = [_seen(f"epoch {epoch}", None, pipeline.batch(epoch, alone), pipeline) for epoch in LATER_EPOCHS]
        labels = _labels(labels_of(selection, shelf.labels, len(shelf.classes)), shelf.classes)
        pictures = [
            Previewed(int(number), labels[row], [seen[row] for _, _, seen in stages], [seen[row] for seen in later])
            for row, number in enumerate(selection.pictures)
        ]
        return Augmentation(pictures, self._ranges(recipe, shelf, alone))

    def _ranges(self, recipe: Recipe, shelf: Shelf, selection: Selection) -> dict[str, list[Seen]]:
        """Only where something is erased by value: the same rectangles, the same values, another range."""
        if not any(isinstance(operation, Cutout) for operation in recipe.augment):
            return {}
        found = {}
        few = Selection(selection.pictures[:8])
        for kind in BOTH_RANGES:
            other = Pipeline(recipe.model_copy(update={"normalize": kind}), shelf.images)
            found[kind] = _seen(kind, None, other.batch(1, few), other)
        return found

    def _normalisation(self, kind: str, shelf: Shelf) -> tuple[PerChannel, PerChannel]:
        key = (kind, shelf.key)
        if key not in self._normal:
            self._normal[key] = normalisation(kind, shelf.images)
            while len(self._normal) > CACHE_SIZE:
                self._normal.popitem(last=False)
        return self._normal[key]


def _labels(labels: NDArray[Any], classes: tuple[str, ...]) -> list[dict[str, float]]:
    if labels.ndim == 1:
        return [{classes[label]: 1.0} for label in labels]
    return [
        {classes[label]: float(row[label]) for label in np.argsort(-row, kind="stable") if row[label] > 0}
        for row in labels
    ]


def _seen(name: str, position: int | None, pictures: NDArray[Any], pipeline: Pipeline) -> list[Seen]:
    bytes_ = shown(pictures, pipeline.scale, pipeline.shift)
    return [Seen(name, position, png(picture), picture.shape[0]) for picture in bytes_]


def png(picture: NDArray[np.uint8]) -> str:
    """A picture (height, width, 3) as a data URL."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
