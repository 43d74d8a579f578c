"""Applies draws to batches of pictures on the host, through imgaug. Draws nothing itself.

Operations on whole bytes come first, in the recipe's order; then pixels become float32 in the range that the
recipe names; then rectangles are erased. Must not know any ML framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Draws, Flips, Nothing, Sigmas, draw, noise
from trainer.augment.imgaug_shim import imgaug
from trainer.augment.normalisation import Batch, PerChannel, Pictures, normalisation, normalised
from trainer.augment.operations import ERASERS, Crop, Cutout, Operation, Pad, PadCrop, Rotate, order_done, sides
from trainer.augment.selections import Selection
from trainer.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """Pictures on their way: as stored, after one operation, mixed, or normalised."""

    name: str  # stored, mixup, normalise, or the operation's
    position: int | None  # in the recipe's list of operations
    pictures: NDArray[Any]  # uint8 before, float32 after normalisation


class Pipeline:
    """A recipe's way from stored pictures to the net's input. Safe to use from several threads."""

    def __init__(
        self, recipe: Recipe, train_images: Pictures, normal: tuple[PerChannel, PerChannel] | None = None
    ) -> None:
        """`train_images`: uint8 (n, side, side, 3), kept by reference and never changed; anything that offers
        length, shape and rows will do. `normal`: scale and shift, where they are known already.
        """
        self.images = train_images
        self.operations = list(recipe.augment)
        self.order = order_done(self.operations)
        self.mixed = recipe.mixup.when if recipe.mixup else None
        self.is_once = recipe.augment_when == "once"
        self.seed = recipe.seed
        self.scale, self.shift = normal or normalisation(recipe.normalize, train_images)
        self._sides = sides(self.operations, int(train_images.shape[1]))
        self._draws: dict[int, dict[int, Draws]] = {}
        self._lock = Lock()

    def batch(self, epoch: int, selection: Selection) -> Batch:
        """The pictures of a batch as epoch `epoch` (from 1) sees them: float32 (b, side, side, 3)."""
        *_, last = self.stages(epoch, selection)
        return last.pictures

    def stages(self, epoch: int, selection: Selection) -> Iterator[Stage]:
        """The same, one step after the other; the last one is what the net sees."""
        stored = self.images[selection.pictures]
        yield Stage("stored", None, stored)
        if self.mixed is None or selection.partners is None or selection.shares is None:
            yield from self._changed(epoch, selection.pictures, stored)
            return
        partners = self.images[selection.partners]
        share = selection.shares.astype(np.float32)[:, None, None, None]
        if self.mixed == "before":
            # Whole bytes again: yu4u's generator mixes normalised pixels, which differ by 1/510 of the range at most.
            mixed = (share * stored + (1 - share) * partners + np.float32(0.5)).astype(np.uint8)
            yield Stage("mixup", None, mixed)
            yield from self._changed(epoch, selection.pictures, mixed)
        else:
            for stage in self._changed(epoch, selection.pictures, stored):
                yield stage
            *_, other = self._changed(epoch, selection.partners, partners)
            yield Stage("mixup", None, share * stage.pictures + (1 - share) * other.pictures)

    def evaluation(self, images: Pictures) -> Batch:
        """Pictures without augmentation, in the same range: float32, the shape of `images`."""
        return normalised(images, self.scale, self.shift)

    def _changed(self, epoch: int, numbers: NDArray[np.int64], pictures: NDArray[Any]) -> Iterator[Stage]:
        """The operations, done to `pictures` with the draws of pictures `numbers`."""
        draws = self._epoch_draws(1 if self.is_once else epoch)
        is_normal = False
        for position in self.order:
            operation = self.operations[position]
            if isinstance(operation, ERASERS) and not is_normal:
                pictures, is_normal = normalised(pictures, self.scale, self.shift), True
                yield Stage("normalise", None, pictures)
            pictures = changed(pictures, operation, _rows(draws[position], numbers))
            yield Stage(operation.op, position, pictures)
        if not is_normal:
            yield Stage("normalise", None, normalised(pictures, self.scale, self.shift))

    def _epoch_draws(self, epoch: int) -> dict[int, Draws]:
        with self._lock:
            if epoch not in self._draws:
                fresh = {
                    position: draw(
                        operation, self.seed, epoch, position, n=len(self.images), side=self._sides[position]
                    )
                    for position, operation in enumerate(self.operations)
                }
                # Two epochs are enough: one in use, the next prepared ahead.
                kept = {old: drawn for old, drawn in self._draws.items() if old == epoch - 1}
                self._draws = {**kept, epoch: fresh}
            return self._draws[epoch]


def changed(pictures: NDArray[Any], operation: Operation, drawn: Draws) -> NDArray[Any]:
    """Do one operation as `drawn` says (row k for picture k). `pictures` stay as they are.

    Augmenters are built per call: imgaug's hold state, so sharing one between threads would mix batches.
    """
    iaa, iap = imgaug()
    match drawn:
        case Nothing():
            assert isinstance(operation, Pad)
            return _augmented(_padded(operation, iaa), pictures)
        case Crops():
            assert isinstance(operation, Crop | PadCrop)
            size = operation.size if isinstance(operation, Crop) else pictures.shape[1]
            if isinstance(operation, PadCrop):
                pictures = _augmented(_padded(operation, iaa), pictures)
            return _cropped(pictures, drawn, size, iaa, iap)
        case Flips():
            return _augmented(iaa.Fliplr(iap.DeterministicList(drawn.flipped.astype(np.float32)), seed=0), pictures)
        case Angles():
            assert isinstance(operation, Rotate)
            chosen = np.flatnonzero(drawn.degrees)
            angles = iap.DeterministicList(drawn.degrees[chosen].astype(np.float32)) if chosen.size else None
            return _some(iaa.Affine(rotate=angles, order=1, mode=operation.mode, cval=0, seed=0), pictures, chosen)
        case Sigmas():
            chosen = np.flatnonzero(drawn.sigma)
            sigmas = iap.DeterministicList(drawn.sigma[chosen].astype(np.float32)) if chosen.size else 0
            return _some(iaa.GaussianBlur(sigma=sigmas, seed=0), pictures, chosen)
        case Boxes():
            return _augmented(iaa.Lambda(func_images=_eraser(operation, drawn), seed=0), pictures)


def _padded(operation: Pad | PadCrop, iaa: Any) -> Any:
    return iaa.Pad(px=operation.pad, pad_mode=operation.mode, pad_cval=0, keep_size=False, seed=0)


def _cropped(pictures: NDArray[Any], crops: Crops, size: int, iaa: Any, iap: Any) -> NDArray[Any]:
    """imgaug's crop at offsets from the left and top.

    imgaug crops floor((1 - position) · room) pixels; the half pixel keeps the float32 that it stores away
    from the edge of the floor, and the last offset is exactly 1.
    """
    room = pictures.shape[1] - size
    if not room:
        return pictures
    position = tuple(
        iap.DeterministicList((1.0 - np.minimum(1.0, (offset + 0.5) / room)).astype(np.float32))
        for offset in (crops.left, crops.top)
    )
    return _augmented(iaa.CropToFixedSize(width=size, height=size, position=position, seed=0), pictures)


def _eraser(operation: Operation, boxes: Boxes) -> Any:
    def erase(images: Batch, _random: Any, _parents: Any, _hooks: Any) -> Batch:
        chosen = np.flatnonzero((boxes.height > 0) & (boxes.width > 0))
        height, width, channels = images.shape[1:]
        row, column = np.arange(height), np.arange(width)
        top, left = boxes.top[chosen, None], boxes.left[chosen, None]
        in_rows = (row >= top) & (row < top + boxes.height[chosen, None])
        in_columns = (column >= left) & (column < left + boxes.width[chosen, None])
        inside = (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
        if isinstance(operation, Cutout) and operation.pixel_level:
            share = noise(boxes.noise_seed[chosen], height * width * channels)
            low, high = np.float32(operation.v_l), np.float32(operation.v_h)
            fill = (low + (high - low) * share).reshape(-1, height, width, channels)
        else:
            fill = boxes.value[chosen].astype(np.float32)[:, None, None, None]
        erased = images.copy()
        erased[chosen] = np.where(inside, fill, images[chosen])
        return erased

    return erase


def _some(augmenter: Any, pictures: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[Any]:
    """Only the chosen ones are worked on: most of what imgaug costs is paid per picture."""
    if len(chosen) == len(pictures):
        return _augmented(augmenter, pictures)
    result = pictures.copy()
    if chosen.size:
        result[chosen] = _augmented(augmenter, pictures[chosen])
    return result


def _augmented(augmenter: Any, pictures: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(augmenter.augment_images(pictures))


def _rows(drawn: Draws, numbers: NDArray[np.int64]) -> Draws:
    return type(drawn)(**{name: column[numbers] for name, column in vars(drawn).items()})
