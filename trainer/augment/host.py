"""Applies draws to batches of pictures on the host, through imgaug. Draws nothing itself.

Operations on whole bytes come first, in the recipe's order; then pixels become float32 in the range that the
recipe names; then rectangles are erased. Must not know any ML framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Draws, Flips, Nothing, Sigmas, draw, noise_at
from trainer.augment.imgaug_shim import imgaug
from trainer.augment.normalisation import Batch, PerChannel, Pictures, normalisation, normalised
from trainer.augment.operations import ERASERS, Crop, Cutout, Operation, Pad, PadCrop, Rotate, order_done, sides
from trainer.augment.selections import Selection
from trainer.recipe import Recipe

AT_ONCE = 128  # pictures: what is done to them then stays in the processor's cache


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
        result = np.empty((len(selection), *self.images.shape[1:]), dtype=np.float32)
        for at in range(0, len(selection), AT_ONCE):
            *_, last = self.stages(epoch, selection.part(at, at + AT_ONCE))
            result[at : at + AT_ONCE] = last.pictures
        return result

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
            return _augmented(_whole(lambda images: _padded(images, operation), iaa), pictures)
        case Crops():
            assert isinstance(operation, Crop | PadCrop)
            return _augmented(_whole(lambda images: _cropped(images, operation, drawn), iaa), pictures)
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
            return _augmented(_whole(lambda images: _erased(images, operation, drawn), iaa), pictures)


def _whole(change: Callable[[NDArray[Any]], NDArray[Any]], iaa: Any) -> Any:
    """An augmenter that changes the batch as one array: imgaug's own Pad, crops and cutouts go picture by picture,
    which takes several times as long.
    """
    return iaa.Lambda(func_images=lambda images, _random, _parents, _hooks: change(images), seed=0)


def _padded(images: NDArray[Any], operation: Pad | PadCrop) -> NDArray[Any]:
    pad = operation.pad
    return np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=operation.mode)


def _cropped(images: NDArray[Any], operation: Crop | PadCrop, crops: Crops) -> NDArray[Any]:
    size = operation.size if isinstance(operation, Crop) else images.shape[1]
    if isinstance(operation, PadCrop):
        images = _padded(images, operation)
    windows = sliding_window_view(images, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    return windows[np.arange(len(images)), crops.top, crops.left]  # of (n, top, left, row, column, channel)


def _erased(images: Batch, operation: Operation, boxes: Boxes) -> Batch:
    height, width, channels = images.shape[1:]
    row, column = np.arange(height), np.arange(width)
    in_rows = (row >= boxes.top[:, None]) & (row < (boxes.top + boxes.height)[:, None])
    in_columns = (column >= boxes.left[:, None]) & (column < (boxes.left + boxes.width)[:, None])
    picture, pixel = np.nonzero((in_rows[:, :, None] & in_columns[:, None, :]).reshape(len(images), -1))
    erased = images.reshape(len(images), -1, channels).copy()
    if isinstance(operation, Cutout) and operation.pixel_level:
        j = pixel[:, None] * channels + np.arange(channels)
        share = noise_at(boxes.noise_seed[picture][:, None], j, height * width * channels)
        low, high = np.float32(operation.v_l), np.float32(operation.v_h)
        erased[picture, pixel] = low + (high - low) * share
    else:
        erased[picture, pixel] = boxes.value[picture].astype(np.float32)[:, None]
    return erased.reshape(images.shape)


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
