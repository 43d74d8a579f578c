"""From stored uint8 images to the model's input range, and back for display. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.recipe.augmentation import INPUT_MAX

Images = NDArray[np.uint8]  # (n, side, side, 3), RGB
Batch = NDArray[np.float32]  # (n, side, side, 3), in the recipe's range
PerChannel = NDArray[np.float32]  # (3,)

CHUNK = 2048  # images counted at once: bincount needs 8 bytes per value


def compute_normalisation(kind: str, train_images: Images) -> tuple[PerChannel, PerChannel]:
    """(scale, shift), each float32 (3,): a pixel p becomes p / scale - shift.

    "standardised" uses mean and standard deviation of each channel over the training images.
    """
    if kind != "standardised":
        return np.full(3, 255.0 / INPUT_MAX[kind], dtype=np.float32), np.zeros(3, dtype=np.float32)
    counts = np.zeros((3, 256), dtype=np.int64)
    for first in range(0, len(train_images), CHUNK):
        flat = train_images[first : first + CHUNK].reshape(-1, 3)
        counts += np.stack([np.bincount(flat[:, channel], minlength=256) for channel in range(3)])
    level, pixels = np.arange(256, dtype=np.float64), counts[0].sum()
    mean = counts @ level / pixels
    deviation = np.sqrt((counts * (level - mean[:, None]) ** 2).sum(axis=1) / pixels)
    # avoids dividing by 0 for a constant channel
    deviation = np.where(deviation > 0, deviation, 255.0)
    return deviation.astype(np.float32), (mean / deviation).astype(np.float32)


def normalise(images: Images, scale: PerChannel, shift: PerChannel) -> Batch:
    """float32, the shape of `images`. Row by row: an inner loop of three channels takes four times as long."""
    rows, width = images.reshape(*images.shape[:-2], -1), images.shape[-2]
    result: Batch = np.divide(rows, np.tile(scale, width), dtype=np.float32)
    if shift.any():
        result -= np.tile(shift, width)
    return result.reshape(images.shape)


def to_uint8(pictures: NDArray[Any], scale: PerChannel, shift: PerChannel) -> Images:
    """The model's input as uint8 images for display, clipped to black and white."""
    if pictures.dtype == np.uint8:
        return pictures
    levels: Images = np.clip(np.rint((pictures + shift) * scale), 0, 255).astype(np.uint8)
    return levels
