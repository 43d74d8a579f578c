"""Applies draws to batches of pictures on the host, through imgaug. Draws nothing itself.

Operations on whole bytes come first, in the recipe's order; then pixels become float32 in the range that the
recipe names; then rectangles are erased. Must not know any ML framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import Boxes, Crops, Draws, Flips, draw, noise
from trainer.augment.imgaug_shim import imgaug
from trainer.augment.operations import Cutout, Operation, PadCrop
from trainer.recipe import Recipe

Pictures = NDArray[np.uint8]  # (n, 32, 32, 3), RGB
Batch = NDArray[np.float32]  # (n, 32, 32, 3), in the recipe's range


class Pipeline:
    """A recipe's way from stored pictures to the net's input. Safe to use from several threads."""

    def __init__(self, recipe: Recipe, train_images: Pictures) -> None:
        """`train_images`: uint8 (n, side, side, 3), kept by reference and never changed."""
        self.images = train_images
        self.operations = list(recipe.augment)
        self.seed = recipe.seed
        self.side = int(train_images.shape[1])
        self._scale, self._shift = normalisation(recipe.normalize, train_images)
        self._draws: dict[int, list[Draws]] = {}
        self._lock = Lock()

    def batch(self, epoch: int, indices: NDArray[np.int64]) -> Batch:
        """Pictures `indices` as epoch `epoch` (from 1) sees them: float32 (len(indices), side, side, 3)."""
        mine = [_rows(drawn, indices) for drawn in self._epoch_draws(epoch)]
        return apply(self.images[indices], self.operations, mine, self._scale, self._shift)

    def evaluation(self, images: Pictures) -> Batch:
        """Pictures without augmentation, in the same range: float32, the shape of `images`."""
        return _normalised(images, self._scale, self._shift)

    def _epoch_draws(self, epoch: int) -> list[Draws]:
        with self._lock:
            if epoch not in self._draws:
                fresh = [
                    draw(op, self.seed, epoch, position, n=len(self.images), side=self.side)
                    for position, op in enumerate(self.operations)
                ]
                # Two epochs are enough: one in use, the next prepared ahead.
                kept = {old: drawn for old, drawn in self._draws.items() if old == epoch - 1}
                self._draws = {**kept, epoch: fresh}
            return self._draws[epoch]


def apply(
    images: Pictures, operations: Sequence[Operation], draws: Sequence[Draws], scale: Batch, shift: Batch
) -> Batch:
    """Do `operations` as `draws` say (row k for picture k) and normalise. `images` stay as they are.

    Augmenters are built per call: imgaug's hold state, so sharing one between threads would mix batches.
    """
    augmenters, parameters = imgaug()
    pairs = list(zip(operations, draws, strict=True))
    on_bytes = [
        step
        for op, drawn in pairs
        if not isinstance(op, Cutout)
        for step in _byte_steps(op, drawn, images.shape[1], augmenters, parameters)
    ]
    on_floats = [
        augmenters.Lambda(func_images=_eraser(op, drawn), seed=0)
        for op, drawn in pairs
        if isinstance(op, Cutout) and isinstance(drawn, Boxes)
    ]
    changed = _augmented(augmenters.Sequential(on_bytes, seed=0), images) if on_bytes else images
    floats = _normalised(changed, scale, shift)
    return _augmented(augmenters.Sequential(on_floats, seed=0), floats) if on_floats else floats


def normalisation(kind: str, train_images: Pictures) -> tuple[Batch, Batch]:
    """(scale, shift), each float32 (3,): a pixel p becomes p / scale - shift.

    "standardised" takes mean and standard deviation of each channel over the training pictures.
    """
    if kind == "standardised":
        flat = train_images.reshape(-1, 3)
        counts = np.stack([np.bincount(flat[:, channel], minlength=256) for channel in range(3)])
        level = np.arange(256, dtype=np.float64)
        mean = counts @ level / len(flat)
        deviation = np.sqrt((counts * (level - mean[:, None]) ** 2).sum(axis=1) / len(flat))
        # A channel that never changes carries nothing: leave its size alone rather than divide by nothing.
        deviation = np.where(deviation > 0, deviation, 255.0)
        return deviation.astype(np.float32), (mean / deviation).astype(np.float32)
    top = {"0..1": 1.0, "0..127": 127.0, "0..255": 255.0}[kind]
    return np.full(3, 255.0 / top, dtype=np.float32), np.zeros(3, dtype=np.float32)


def _normalised(images: Pictures, scale: Batch, shift: Batch) -> Batch:
    result = images.astype(np.float32)
    result /= scale
    result -= shift
    return result


def _byte_steps(operation: Operation, drawn: Draws, side: int, iaa: Any, iap: Any) -> list[Any]:
    match drawn:
        case Crops():
            assert isinstance(operation, PadCrop)
            pad = operation.pad
            position = tuple(_position(offset, pad, iap) for offset in (drawn.left, drawn.top))
            return [
                iaa.Pad(px=pad, pad_mode=operation.mode, pad_cval=0, keep_size=False, seed=0),
                iaa.CropToFixedSize(width=side, height=side, position=position, seed=0),
            ]
        case Flips():
            return [iaa.Fliplr(iap.DeterministicList(drawn.flipped.astype(np.float32)), seed=0)]
        case Boxes():
            raise TypeError("rectangles are erased after normalisation")


def _position(offset: NDArray[np.int64], pad: int, iap: Any) -> Any:
    """imgaug's crop position for an offset of so many pixels from the left (or top).

    imgaug crops floor((1 - position) · 2·pad) pixels; the half pixel keeps the float32 that it stores away
    from the edge of the floor, and the last offset is exactly 1.
    """
    share = np.minimum(1.0, (offset + 0.5) / (2 * pad))
    return iap.DeterministicList((1.0 - share).astype(np.float32))


def _eraser(operation: Cutout, boxes: Boxes) -> Any:
    def erase(images: Batch, _random: Any, _parents: Any, _hooks: Any) -> Batch:
        chosen = np.flatnonzero((boxes.height > 0) & (boxes.width > 0))
        height, width, channels = images.shape[1:]
        row, column = np.arange(height), np.arange(width)
        top, left = boxes.top[chosen, None], boxes.left[chosen, None]
        in_rows = (row >= top) & (row < top + boxes.height[chosen, None])
        in_columns = (column >= left) & (column < left + boxes.width[chosen, None])
        inside = (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
        if operation.pixel_level:
            share = noise(boxes.noise_seed[chosen], height * width * channels)
            low, high = np.float32(operation.v_l), np.float32(operation.v_h)
            fill = (low + (high - low) * share).reshape(-1, height, width, channels)
        else:
            fill = boxes.value[chosen].astype(np.float32)[:, None, None, None]
        erased = images.copy()
        erased[chosen] = np.where(inside, fill, images[chosen])
        return erased

    return erase


def _augmented(augmenter: Any, images: NDArray[Any]) -> NDArray[Any]:
    return np.stack(augmenter.augment_images(images))


def _rows(drawn: Draws, indices: NDArray[np.int64]) -> Draws:
    return type(drawn)(**{name: column[indices] for name, column in vars(drawn).items()})
