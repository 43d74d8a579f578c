"""A recipe's path from stored images to the model's input, for previews, evidence and the loader pool.

Uses the augmenter that the recipe names: imgaug, or NumPy with the same operations as the device. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment.batched import ArrayAugmenter
from trainer.augment.draws import Params
from trainer.augment.host import ImgaugAugmenter
from trainer.augment.normalisation import Batch, Images, PerChannel, compute_normalisation, normalise
from trainer.augment.selections import Selection
from trainer.augment.tables import sample_epoch_params, select_rows
from trainer.recipe import Recipe
from trainer.recipe.augmentation import ERASERS, Operation, execution_order

CHUNK = 128  # images: few enough to stay in the processor's cache


class Pipeline:
    """Batches of a recipe, and their stages on the way."""

    def __init__(
        self, recipe: Recipe, train_images: Images, normal: tuple[PerChannel, PerChannel] | None = None
    ) -> None:
        """`train_images`: uint8 (n, side, side, 3), kept by reference and never changed; an array, or an
        object with its length, shape and rows. `normal`: scale and shift, if already known.
        """
        self.images, self.recipe = train_images, recipe
        self.scale, self.shift = normal or compute_normalisation(recipe.normalize, train_images)
        self._steps = Steps(recipe)
        self._augmenter: Augmenter = (ArrayAugmenter if recipe.augment_engine == "device" else ImgaugAugmenter)(
            self.scale, self.shift
        )
        self._params: dict[int, dict[int, Params]] = {}
        self._lock = Lock()

    def batch(self, epoch: int, selection: Selection) -> Batch:
        """The images of a batch as epoch `epoch` (from 1) sees them: float32 (b, side, side, 3)."""
        result = np.empty((len(selection), *self.images.shape[1:]), dtype=np.float32)
        for at in range(0, len(selection), CHUNK):
            *_, last = self.stages(epoch, selection.part(at, at + CHUNK))
            result[at : at + CHUNK] = last.pictures
        return result

    def stages(self, epoch: int, selection: Selection) -> Iterator[Stage]:
        """The stages of the batch, step by step; the last one is the model's input."""
        params = self.epoch_params(epoch)
        other = share = None
        if selection.partners is not None and selection.shares is not None:
            other, share = self._load_images(selection.partners, params), selection.shares.astype(np.float32)
        return self._steps.stages(self._augmenter, self._load_images(selection.pictures, params), other, share)

    def evaluation(self, images: Images) -> Batch:
        """Images without augmentation, in the same range: float32, the shape of `images`."""
        return normalise(images, self.scale, self.shift)

    def epoch_params(self, epoch: int) -> dict[int, Params]:
        """The parameters of all images, by the operation's position; the latest two epochs are cached."""
        with self._lock:
            if epoch not in self._params:
                fresh = sample_epoch_params(self.recipe, epoch, len(self.images), int(self.images.shape[1]))
                # Two epochs are enough: one in use, the next prepared ahead.
                kept = {old: drawn for old, drawn in self._params.items() if old == epoch - 1}
                self._params = {**kept, epoch: fresh}
            return self._params[epoch]

    def _load_images(self, numbers: NDArray[np.int64], params: dict[int, Params]) -> StoredBatch:
        return StoredBatch(self.images[numbers], select_rows(params, numbers))


@dataclass(frozen=True)
class Stage:
    """Images after one step."""

    name: str  # stored, mixup, normalise, or the operation's
    position: int | None  # in the recipe's list of operations
    pictures: Any  # (b, side, side, 3): uint8 before, float32 after normalisation


@dataclass(frozen=True)
class StoredBatch:
    """A batch at its beginning."""

    pictures: Any  # uint8 (b, side, side, 3), as stored
    params: Mapping[int, Params]  # of each operation by its position; row k is for image k


class Augmenter(Protocol):
    """Applies operations to whole batches. Row k of the parameters is for image k. Inputs are not modified."""

    def apply(self, pictures: Any, operation: Operation, drawn: Params) -> Any:
        """One operation."""

    def normalise(self, pictures: Any) -> Any:
        """Bytes to float32 in the recipe's range."""

    def mix_bytes(self, own: Any, other: Any, share: Any) -> Any:
        """`share` (b,) of the one, the rest of the other, in whole bytes."""

    def mix(self, own: Any, other: Any, share: Any) -> Any:
        """The same for normalised images."""


class Steps:
    """A recipe's operations in the order in which they are done."""

    def __init__(self, recipe: Recipe) -> None:
        self.operations = list(recipe.augment)
        self.order = execution_order(self.operations)
        self.mixup_timing = recipe.mixup.when if recipe.mixup else None

    def stages(
        self, augmenter: Augmenter, own: StoredBatch, other: StoredBatch | None = None, share: Any = None
    ) -> Iterator[Stage]:
        """The stages, step by step; the last one is the model's input. `other`, `share`: with mixup."""
        yield Stage("stored", None, own.pictures)
        if self.mixup_timing is None or other is None:
            yield from self._apply_all(augmenter, own.pictures, own.params)
        elif self.mixup_timing == "before":
            # Whole bytes again: yu4u's generator mixes normalised pixels, which differ by 1/510 of the range at most.
            pictures = augmenter.mix_bytes(own.pictures, other.pictures, share)
            yield Stage("mixup", None, pictures)
            yield from self._apply_all(augmenter, pictures, own.params)
        else:
            for stage in self._apply_all(augmenter, own.pictures, own.params):
                yield stage
            *_, last = self._apply_all(augmenter, other.pictures, other.params)
            yield Stage("mixup", None, augmenter.mix(stage.pictures, last.pictures, share))

    def _apply_all(self, augmenter: Augmenter, pictures: Any, params: Mapping[int, Params]) -> Iterator[Stage]:
        is_normal = False
        for position in self.order:
            operation = self.operations[position]
            if isinstance(operation, ERASERS) and not is_normal:
                pictures, is_normal = augmenter.normalise(pictures), True
                yield Stage("normalise", None, pictures)
            pictures = augmenter.apply(pictures, operation, params[position])
            yield Stage(operation.op, position, pictures)
        if not is_normal:
            yield Stage("normalise", None, augmenter.normalise(pictures))
