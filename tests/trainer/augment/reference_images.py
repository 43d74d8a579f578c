"""Every operation once more in plain NumPy: one picture at a time, from its definition, no imgaug and no OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.noise import noise
from trainer.recipe.augmentation import Cutout, CutoutSquare

Picture = NDArray[Any]  # (side, side, 3)


def pixel(picture: Picture, y: int, x: int, mode: str) -> NDArray[np.float64]:
    """The colour at whole coordinates that may lie outside: black, the edge's, or mirrored without the edge."""
    last = len(picture) - 1
    if mode == "constant" and not (0 <= y <= last and 0 <= x <= last):
        return np.zeros(3)
    if mode == "reflect":
        while not (0 <= y <= last and 0 <= x <= last):
            y, x = (-k if k < 0 else 2 * last - k if k > last else k for k in (y, x))
    y, x = (min(max(k, 0), last) for k in (y, x))
    return np.array(picture[y, x], dtype=np.float64)


def rotated(picture: Picture, degrees: float, mode: str) -> NDArray[np.float64]:
    """Turned clockwise on the screen about the middle of the picture, ((side - 1) / 2)², bilinear; not rounded."""
    side, middle = len(picture), (len(picture) - 1) / 2
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    result = np.empty(picture.shape)
    for row in range(side):
        for column in range(side):
            # where this pixel came from: turned back, with y pointing down
            y = middle - sin * (column - middle) + cos * (row - middle)
            x = middle + cos * (column - middle) + sin * (row - middle)
            top, left = int(np.floor(y)), int(np.floor(x))
            down, right = y - top, x - left
            result[row, column] = (
                (1 - down) * (1 - right) * pixel(picture, top, left, mode)
                + (1 - down) * right * pixel(picture, top, left + 1, mode)
                + down * (1 - right) * pixel(picture, top + 1, left, mode)
                + down * right * pixel(picture, top + 1, left + 1, mode)
            )
    return result


def kernel_size(sigma: float) -> int:
    """imgaug's choice (`augmenters/blur.py`, `_compute_gaussian_blur_ksize`), made odd; 5 at least."""
    width = 3.3 if sigma < 3 else 2.9 if sigma < 5 else 2.6
    size = int(max(width * sigma, 5))
    return size if size % 2 else size + 1


def blurred(picture: Picture, sigma: float) -> NDArray[np.float64]:
    """Rows, then columns, weighed by a Gaussian cut off at the kernel's size; mirrored edges; not rounded."""
    reach, side = kernel_size(sigma) // 2, len(picture)
    weight = np.array([np.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-reach, reach + 1)])
    weight /= weight.sum()
    wide = np.pad(picture.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    taps = range(2 * reach + 1)
    rows = np.sum([weight[k] * wide[k : k + side] for k in taps], axis=0)
    return np.array(np.sum([weight[k] * rows[:, k : k + side] for k in taps], axis=0))


def padded(picture: Picture, pad: int, mode: Any) -> Picture:
    return np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode=mode)


def erased(
    picture: Picture, operation: Cutout | CutoutSquare, box: tuple[int, ...], value: float, seed: int
) -> Picture:
    """`box`: top, left, height, width. Noise belongs to the whole picture and shows inside the box."""
    top, left, height, width = box
    side = len(picture)
    result = picture.copy()
    grain = noise(np.array([seed], dtype=np.uint32), side * side * 3).reshape(side, side, 3)
    for row in range(top, top + height):
        for column in range(left, left + width):
            if isinstance(operation, Cutout) and operation.pixel_level:
                low, high = np.float32(operation.v_l), np.float32(operation.v_h)
                result[row, column] = low + (high - low) * grain[row, column]
            else:
                result[row, column] = np.float32(value)
    return result
