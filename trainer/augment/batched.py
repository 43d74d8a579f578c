"""Augmentation of whole batches with an array library: NumPy, or `keras.ops` in a compiled program.

Operations take imgaug's arguments and the same parameters, so host and device produce the same images. The difference:
OpenCV rotates and blurs uint8 images in fixed point, so a value may differ by one or two levels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Flips, NoParams, Params, Sigmas
from trainer.augment.noise import counters, hash_noise, numpy_ops
from trainer.augment.normalisation import PerChannel
from trainer.recipe.augmentation import Blur, Crop, Cutout, Fill, Operation, Pad, PadCrop, Rotate

MIN_SIGMA = 1e-3  # imgaug does not blur with less


class ArrayAugmenter:
    """See `pipeline.Augmenter`. Images are (b, side, side, 3); in a program, b may be unknown, the sides may not."""

    def __init__(self, scale: PerChannel, shift: PerChannel, xp: Any = numpy_ops) -> None:
        """`scale`, `shift`: from normalisation(). `xp`: the array library."""
        self._scale, self._shift, self._xp = scale, shift, xp

    def apply(self, pictures: Any, operation: Operation, drawn: Params) -> Any:
        match drawn:
            case NoParams():
                assert isinstance(operation, Pad)
                return self._padded(pictures, operation.pad, operation.mode)
            case Crops():
                assert isinstance(operation, Crop | PadCrop)
                return self._cropped(pictures, operation, drawn)
            case Flips():
                return self._flipped(pictures, drawn.flipped)
            case Angles():
                assert isinstance(operation, Rotate)
                return self._rotated(pictures, drawn.degrees, operation.mode)
            case Sigmas():
                assert isinstance(operation, Blur)
                return self._blurred(pictures, drawn.sigma, kernel_size(operation.sigma_h) // 2)
            case Boxes():
                return self._erased(pictures, operation, drawn)

    def normalise(self, pictures: Any) -> Any:
        # row by row: an inner loop of three channels takes four times as long where loops are not fused
        xp, (height, width, channels) = self._xp, pictures.shape[1:]
        rows = xp.cast(xp.reshape(pictures, (-1, height, width * channels)), "float32")
        rows = rows / np.tile(self._scale, width) - np.tile(self._shift, width)
        return xp.reshape(rows, (-1, height, width, channels))

    def mix_bytes(self, own: Any, other: Any, share: Any) -> Any:
        xp = self._xp
        whole = self.mix(xp.cast(own, "float32"), xp.cast(other, "float32"), share)
        return xp.cast(xp.floor(whole + 0.5), "uint8")

    def mix(self, own: Any, other: Any, share: Any) -> Any:
        share = self._xp.reshape(share, (-1, 1, 1, 1))
        return share * own + (1.0 - share) * other

    def _padded(self, pictures: Any, pad: int, mode: Fill) -> Any:
        xp, (height, width) = self._xp, pictures.shape[1:3]
        if mode == "constant":
            return xp.pad(pictures, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        rows, columns = _padded_indices(height, pad, mode), _padded_indices(width, pad, mode)
        return xp.take(xp.take(pictures, rows, axis=1), columns, axis=2)

    def _cropped(self, pictures: Any, operation: Crop | PadCrop, crops: Crops) -> Any:
        xp, (height, width) = self._xp, pictures.shape[1:3]
        top, left = (xp.reshape(xp.cast(one, "int32"), (-1, 1)) for one in (crops.top, crops.left))
        if isinstance(operation, Crop):
            across = np.arange(operation.size, dtype=np.int32)
            return self._looked_up(pictures, top + across, left + across)
        pad, down, across = operation.pad, np.arange(height, dtype=np.int32), np.arange(width, dtype=np.int32)
        if operation.mode == "constant":
            rows, columns = top + (down - pad), left + (across - pad)
            return self._looked_up_or_black(pictures, rows, columns)
        rows = xp.take(xp.convert_to_tensor(_padded_indices(height, pad, operation.mode)), top + down, axis=0)
        columns = xp.take(xp.convert_to_tensor(_padded_indices(width, pad, operation.mode)), left + across, axis=0)
        return self._looked_up(pictures, rows, columns)

    def _flipped(self, pictures: Any, flipped: Any) -> Any:
        xp = self._xp
        return xp.where(xp.reshape(xp.cast(flipped, "bool"), (-1, 1, 1, 1)), xp.flip(pictures, axis=2), pictures)

    def _rotated(self, pictures: Any, degrees: Any, mode: Fill) -> Any:
        """Bilinear, about the centre of the image; a positive angle is clockwise on the screen."""
        xp, (height, width) = self._xp, pictures.shape[1:3]
        angle = xp.reshape(xp.cast(degrees, "float32") * np.float32(math.pi / 180), (-1, 1, 1))
        cosine, sine = xp.cos(angle), xp.sin(angle)
        down = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
        across = np.arange(width, dtype=np.float32)[None, :] - np.float32((width - 1) / 2)
        x = cosine * across + sine * down + np.float32((width - 1) / 2)
        y = cosine * down - sine * across + np.float32((height - 1) / 2)
        left, top = xp.floor(x), xp.floor(y)
        right_share, low_share = (xp.expand_dims(one, -1) for one in (x - left, y - top))
        left, top = xp.cast(left, "int32"), xp.cast(top, "int32")
        result: Any = 0.0
        for below, rows_share in ((0, 1.0 - low_share), (1, low_share)):
            for beside, columns_share in ((0, 1.0 - right_share), (1, right_share)):
                tap = self._pixels(pictures, top + below, left + beside, mode)
                result = result + xp.cast(tap, "float32") * (rows_share * columns_share)
        return xp.cast(xp.floor(result + 0.5), "uint8")

    def _blurred(self, pictures: Any, sigma: Any, reach: int) -> Any:
        """Gaussian, one axis after the other, mirrored at the edge, with imgaug's kernel size for each sigma."""
        xp = self._xp
        sigma = xp.reshape(xp.cast(sigma, "float32"), (-1, 1))
        is_blurred = sigma > MIN_SIGMA
        sure = xp.where(is_blurred, sigma, 1.0)
        distance = np.arange(-reach, reach + 1, dtype=np.float32)[None, :]
        half = xp.cast(_kernel_radius(sure, xp), "float32")
        weights = xp.where(np.abs(distance) <= half, xp.exp(-(distance**2) / (2.0 * sure * sure)), 0.0)
        weights = weights / xp.sum(weights, axis=1, keepdims=True)
        result = xp.cast(pictures, "float32")
        for axis in (1, 2):
            side = pictures.shape[axis]
            source, total = _padded_indices(side, reach, "reflect"), 0.0
            for step in range(2 * reach + 1):
                moved = xp.take(result, source[step : step + side], axis=axis)
                total = total + moved * xp.reshape(weights[:, step], (-1, 1, 1, 1))
            result = total
        whole = xp.cast(xp.floor(result + 0.5), "uint8")
        return xp.where(xp.reshape(is_blurred, (-1, 1, 1, 1)), whole, pictures)

    def _erased(self, pictures: Any, operation: Operation, boxes: Boxes) -> Any:
        xp, (height, width, channels) = self._xp, pictures.shape[1:]
        top, left, tall, wide = (
            xp.reshape(xp.cast(one, "int32"), (-1, 1)) for one in (boxes.top, boxes.left, boxes.height, boxes.width)
        )
        row, column = np.arange(height, dtype=np.int32)[None, :], np.arange(width, dtype=np.int32)[None, :]
        in_rows = xp.logical_and(row >= top, row < top + tall)
        in_columns = xp.logical_and(column >= left, column < left + wide)
        inside = xp.logical_and(xp.reshape(in_rows, (-1, height, 1, 1)), xp.reshape(in_columns, (-1, 1, width, 1)))
        if isinstance(operation, Cutout) and operation.pixel_level:
            counter = xp.convert_to_tensor(counters(height * width * channels)[None, :], "uint32")
            share = hash_noise(xp.reshape(boxes.noise_seed, (-1, 1)), counter, xp)
            low, high = np.float32(operation.v_l), np.float32(operation.v_h)
            fill = low + (high - low) * xp.reshape(share, (-1, height, width, channels))
        else:
            fill = xp.reshape(xp.cast(boxes.value, "float32"), (-1, 1, 1, 1))
        return xp.where(inside, fill, pictures)

    def _pixels(self, pictures: Any, rows: Any, columns: Any, mode: Fill) -> Any:
        """At `rows`, `columns` (b, height, width), which may lie outside."""
        xp, (height, width) = self._xp, pictures.shape[1:3]
        if mode == "reflect":
            return self._at(pictures, _reflect(rows, height, xp), _reflect(columns, width, xp))
        inside = self._at(pictures, xp.clip(rows, 0, height - 1), xp.clip(columns, 0, width - 1))
        if mode == "edge":
            return inside
        is_in = xp.logical_and(xp.logical_and(rows >= 0, rows < height), xp.logical_and(columns >= 0, columns < width))
        return inside * xp.cast(xp.expand_dims(is_in, -1), "uint8")

    def _looked_up(self, pictures: Any, rows: Any, columns: Any) -> Any:
        """The pixels where `rows` (b, height) and `columns` (b, width) meet."""
        xp = self._xp
        return self._at(pictures, xp.expand_dims(rows, 2), xp.expand_dims(columns, 1))

    def _looked_up_or_black(self, pictures: Any, rows: Any, columns: Any) -> Any:
        xp = self._xp
        return self._pixels(pictures, xp.expand_dims(rows, 2), xp.expand_dims(columns, 1), "constant")

    def _at(self, pictures: Any, rows: Any, columns: Any) -> Any:
        """One gather for the whole batch. The shapes of `rows` and `columns` broadcast."""
        xp, (height, width, channels) = self._xp, pictures.shape[1:]
        batch = xp.shape(pictures)[0]
        first = xp.reshape(xp.arange(batch, dtype="int32"), (-1, 1, 1)) * (height * width)
        return xp.take(xp.reshape(pictures, (-1, channels)), first + rows * width + columns, axis=0)


def kernel_size(sigma: float) -> int:
    """Width in pixels of imgaug's Gaussian kernel for a sigma: odd, at least 5 (`blur_gaussian_`)."""
    return 2 * int(_kernel_radius(np.float32(sigma), numpy_ops)) + 1


def _kernel_radius(sigma: Any, xp: Any) -> Any:
    """Pixels on either side of the middle: int32, of the shape of `sigma`."""
    times = xp.where(sigma < 3.0, 3.3, xp.where(sigma < 5.0, 2.9, 2.6))
    # an even width becomes the next odd one: both have the same half
    return xp.cast(xp.floor(xp.maximum(xp.floor(times * sigma), 5.0) / 2.0), "int32")


def _padded_indices(side: int, pad: int, mode: Fill) -> NDArray[np.int32]:
    """The source pixel of each place of an axis that is padded by `pad` on both ends: int32 (side + 2 pad,)."""
    return np.pad(np.arange(side, dtype=np.int32), pad, mode=mode)


def _reflect(places: Any, side: int, xp: Any) -> Any:
    """Like OpenCV's BORDER_REFLECT_101 and NumPy's "reflect": the pixel at the edge is not repeated."""
    period = 2 * (side - 1)
    around = xp.abs(xp.mod(places, period))
    return xp.where(around < side, around, period - around)
