"""Applies operations with sampled parameters to batches on the host, through imgaug."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Flips, NoParams, Params, Sigmas
from trainer.augment.imgaug_shim import import_imgaug
from trainer.augment.noise import counters, hash_noise
from trainer.augment.normalisation import Batch, Images, PerChannel, normalise
from trainer.recipe.augmentation import Crop, Cutout, Operation, Pad, PadCrop, Rotate


class ImgaugAugmenter:
    """See `pipeline.Augmenter`. Images are NumPy arrays."""

    def __init__(self, scale: PerChannel, shift: PerChannel) -> None:
        """`scale`, `shift`: from normalisation()."""
        self._scale, self._shift = scale, shift

    def apply(self, pictures: NDArray[Any], operation: Operation, drawn: Params) -> NDArray[Any]:
        return apply_operation(pictures, operation, drawn)

    def normalise(self, pictures: Images) -> Batch:
        return normalise(pictures, self._scale, self._shift)

    def mix_bytes(self, own: Images, other: Images, share: NDArray[np.float32]) -> Images:
        mixed: Images = (self.mix(own, other, share) + np.float32(0.5)).astype(np.uint8)
        return mixed

    def mix(self, own: NDArray[Any], other: NDArray[Any], share: NDArray[np.float32]) -> Batch:
        share = share[:, None, None, None]
        laid_over: Batch = share * own + (1 - share) * other
        return laid_over


def apply_operation(pictures: NDArray[Any], operation: Operation, drawn: Params) -> NDArray[Any]:
    """Apply one operation with these parameters (row k for image k). `pictures` are not modified.

    Augmenters are built per call: imgaug's hold state, so sharing one between threads would mix batches.
    """
    iaa, iap = import_imgaug()
    match drawn:
        case NoParams():
            assert isinstance(operation, Pad)
            return _augment(_batch_augmenter(lambda images: _pad(images, operation), iaa), pictures)
        case Crops():
            assert isinstance(operation, Crop | PadCrop)
            return _augment(_batch_augmenter(lambda images: _crop(images, operation, drawn), iaa), pictures)
        case Flips():
            return _augment(iaa.Fliplr(iap.DeterministicList(drawn.flipped.astype(np.float32)), seed=0), pictures)
        case Angles():
            assert isinstance(operation, Rotate)
            chosen = np.flatnonzero(drawn.degrees)
            angles = iap.DeterministicList(drawn.degrees[chosen].astype(np.float32)) if chosen.size else None
            return _augment_chosen(
                iaa.Affine(rotate=angles, order=1, mode=operation.mode, cval=0, seed=0), pictures, chosen
            )
        case Sigmas():
            chosen = np.flatnonzero(drawn.sigma)
            sigmas = iap.DeterministicList(drawn.sigma[chosen].astype(np.float32)) if chosen.size else 0
            return _augment_chosen(iaa.GaussianBlur(sigma=sigmas, seed=0), pictures, chosen)
        case Boxes():
            return _augment(_batch_augmenter(lambda images: _erase(images, operation, drawn), iaa), pictures)


def _batch_augmenter(change: Callable[[NDArray[Any]], NDArray[Any]], iaa: Any) -> Any:
    """An augmenter that changes the batch as one array: imgaug's own Pad, crops and cutouts go image by image,
    which takes several times as long.
    """
    return iaa.Lambda(func_images=lambda images, _random, _parents, _hooks: change(images), seed=0)


def _pad(images: NDArray[Any], operation: Pad | PadCrop) -> NDArray[Any]:
    pad = operation.pad
    return np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=operation.mode)


def _crop(images: NDArray[Any], operation: Crop | PadCrop, crops: Crops) -> NDArray[Any]:
    size = operation.size if isinstance(operation, Crop) else images.shape[1]
    if isinstance(operation, PadCrop):
        images = _pad(images, operation)
    windows = sliding_window_view(images, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    return windows[np.arange(len(images)), crops.top, crops.left]  # of (n, top, left, row, column, channel)


def _erase(images: Batch, operation: Operation, boxes: Boxes) -> Batch:
    height, width, channels = images.shape[1:]
    row, column = np.arange(height), np.arange(width)
    in_rows = (row >= boxes.top[:, None]) & (row < (boxes.top + boxes.height)[:, None])
    in_columns = (column >= boxes.left[:, None]) & (column < (boxes.left + boxes.width)[:, None])
    picture, pixel = np.nonzero((in_rows[:, :, None] & in_columns[:, None, :]).reshape(len(images), -1))
    erased = images.reshape(len(images), -1, channels).copy()
    if isinstance(operation, Cutout) and operation.pixel_level:
        counter = counters(height * width * channels)[pixel[:, None] * channels + np.arange(channels)]
        share = hash_noise(boxes.noise_seed[picture][:, None], counter)
        low, high = np.float32(operation.v_l), np.float32(operation.v_h)
        erased[picture, pixel] = low + (high - low) * share
    else:
        erased[picture, pixel] = boxes.value[picture].astype(np.float32)[:, None]
    return erased.reshape(images.shape)


def _augment_chosen(augmenter: Any, pictures: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[Any]:
    """Process only the chosen images: most of imgaug's cost is per image."""
    if len(chosen) == len(pictures):
        return _augment(augmenter, pictures)
    result = pictures.copy()
    if chosen.size:
        result[chosen] = _augment(augmenter, pictures[chosen])
    return result


def _augment(augmenter: Any, pictures: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(augmenter.augment_images(pictures))
