"""Samples all random parameters of an epoch in NumPy, from (seed, epoch, image) alone.

Image i's parameters are row i of a table that is filled row by row, so they do not depend on the number of images, the
batch, or the engine. host.py and batched.py apply them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.recipe.augmentation import (
    SIDE,
    Blur,
    Crop,
    Cutout,
    CutoutSquare,
    Flip,
    Mixup,
    Operation,
    Pad,
    PadCrop,
    Rotate,
)

# If no rectangle fits after this many tries, the image is left unchanged. The default ranges accept 32 % of all
# tries, so this happens to one erased image in 10^10; a range in which nothing ever fits (where the original's loop
# would never end) erases nothing.
MAX_TRIES = 64

# streams without an operation, used in place of an operation's position; no list is that long
_ORDER, _SHARES, _PARTNERS = 2**32 - 1, 2**32 - 2, 2**32 - 3


@dataclass(frozen=True)
class NoParams:
    """An operation without random parameters."""


@dataclass(frozen=True)
class Angles:
    """`degrees`: float64 (n,), clockwise on the screen, as imgaug counts; 0 where an image is not rotated."""

    degrees: NDArray[np.float64]


@dataclass(frozen=True)
class Flips:
    """`flipped`: bool (n,)."""

    flipped: NDArray[np.bool_]


@dataclass(frozen=True)
class Crops:
    """Where the crop is in the larger image. `left`, `top`: int64 (n,) pixels from 0."""

    left: NDArray[np.int64]
    top: NDArray[np.int64]


@dataclass(frozen=True)
class Sigmas:
    """`sigma`: float64 (n,) pixels; 0 where an image is not blurred."""

    sigma: NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """Rectangles to erase. `height` 0 where there is none.

    `top`, `left`, `height`, `width`: int64 (n,) pixels. `value`: float64 (n,), the fill of a one-value
    rectangle, in the operation's range. `noise_seed`: uint32 (n,), what noise.py needs for a noisy one.
    """

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]
    value: NDArray[np.float64]
    noise_seed: NDArray[np.uint32]


Params = NoParams | Angles | Flips | Crops | Sigmas | Boxes
Stream = tuple[int, int, int]  # seed, epoch, position


def sample_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order in which an epoch sees its `n` images: a permutation of 0..n-1, int64 (n,)."""
    return _generator(seed, epoch, _ORDER).permutation(n)


def sample_shares(mixup: Mixup, seed: int, epoch: int, n: int) -> NDArray[np.float64]:
    """Mixup's share of each image 0..n-1 in its pair: float64 (n,), 0..1, from Beta(alpha, alpha)."""
    return _generator(seed, epoch, _SHARES).beta(mixup.alpha, mixup.alpha, n)


def sample_partners(seed: int, epoch: int, step: int, size: int) -> NDArray[np.int64]:
    """The mixup partner of each image of a permuted batch: a permutation of 0..size-1. `step` counts from 0."""
    return _generator(seed, epoch, _PARTNERS, step).permutation(size)


def sample_params(operation: Operation, seed: int, epoch: int, position: int, *, n: int, side: int = SIDE) -> Params:
    """The parameters of `operation` for images 0..n-1 of the data set.

    `position` is the operation's place in the recipe's list, so that two equal operations differ; `epoch`
    counts from 1; `side` is the height and width in pixels of this operation's input.
    """
    stream = (seed, epoch, position)
    match operation:
        case Rotate():
            return Angles(_sample_values(operation.p, -operation.degrees, operation.degrees, stream, n))
        case Flip():
            if not operation.alternate:
                return Flips(_generator(*stream).random(n) < operation.p)
            at_first = _generator(seed, 1, position).random(n) < operation.p
            return Flips(at_first ^ (epoch % 2 == 0))
        case Pad():
            return NoParams()
        case Crop():
            return _sample_crops(side - operation.size, stream, n)
        case PadCrop():
            return _sample_crops(2 * operation.pad, stream, n)
        case Blur():
            return Sigmas(_sample_values(operation.p, operation.sigma_l, operation.sigma_h, stream, n))
        case Cutout():
            return _sample_boxes(operation, stream, n, side)
        case CutoutSquare():
            return _sample_squares(operation, stream, n, side)


def _sample_values(p: float, low: float, high: float, stream: Stream, n: int) -> NDArray[np.float64]:
    """A uniformly random value from low..high for the share `p` of the images, 0 for the others."""
    table = _generator(*stream).random((n, 2))
    return np.where(table[:, 0] < p, _interpolate(table[:, 1], low, high), 0.0)


def _sample_crops(room: int, stream: Stream, n: int) -> Crops:
    """Each of the `room` + 1 offsets is equally likely on each axis."""
    table = _generator(*stream).random((n, 2))
    offsets = (table * (room + 1)).astype(np.int64)
    return Crops(left=offsets[:, 0], top=offsets[:, 1])


def _sample_boxes(operation: Cutout, stream: Stream, n: int, side: int) -> Boxes:
    """yu4u's random eraser (github.com/yu4u/cutout-random-erasing), all images at once.

    Area is uniform as a share, aspect uniform (not log-uniform), the corner uniform over the whole image;
    a rectangle that sticks out is drawn again, with its area and aspect, which favours small ones.
    """
    table = _generator(*stream).random((n, 3))
    pending = np.flatnonzero(table[:, 0] <= operation.p)
    if operation.p == 0:
        pending = pending[:0]
    boxes = np.zeros((4, n), dtype=np.int64)  # top, left, height, width
    for attempt in range(1, MAX_TRIES + 1):
        if not pending.size:
            break
        # Rows up to the last image that needs one: row i does not depend on later rows.
        tries = _generator(*stream, attempt).random((int(pending[-1]) + 1, 4))[pending]
        area = _interpolate(tries[:, 0], operation.s_l, operation.s_h) * side * side
        aspect = _interpolate(tries[:, 1], operation.r_1, operation.r_2)
        width = np.sqrt(area / aspect).astype(np.int64)
        height = np.sqrt(area * aspect).astype(np.int64)
        left = (tries[:, 2] * side).astype(np.int64)
        top = (tries[:, 3] * side).astype(np.int64)
        fits = (left + width <= side) & (top + height <= side)
        boxes[:, pending[fits]] = np.stack([top, left, height, width])[:, fits]
        pending = pending[~fits]
    top, left, height, width = boxes
    value = _interpolate(table[:, 1], operation.v_l, operation.v_h)
    noise_seed = (table[:, 2] * 2.0**32).astype(np.uint32)
    return Boxes(top, left, height, width, value, noise_seed)


def _sample_squares(operation: CutoutSquare, stream: Stream, n: int, side: int) -> Boxes:
    """Page's Cutout (github.com/davidcpage/cifar10-fast): every position inside the image is equally likely."""
    table = _generator(*stream).random((n, 3))
    top, left = (table[:, 1:] * (side - operation.size + 1)).astype(np.int64).T
    size = np.where(table[:, 0] < operation.p, operation.size, 0)
    value = np.full(n, operation.value, dtype=np.float64)
    return Boxes(top, left, size, size, value, np.zeros(n, dtype=np.uint32))


def _generator(seed: int, epoch: int, position: int, attempt: int = 0) -> np.random.Generator:
    """One stream per set of parameters. PCG64 is named explicitly, since NumPy's default may change."""
    return np.random.Generator(np.random.PCG64([seed, epoch, position, attempt]))


def _interpolate(share: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return low + (high - low) * share
