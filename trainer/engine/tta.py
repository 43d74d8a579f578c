"""Test-time augmentation: the further views of a picture whose logits are averaged in. Keras only.

flip: the mirror image, half and half (David Page's bag of tricks). six: plain and shifted by one pixel up and left,
and down and right, each with its mirror image; a quarter for the plain pair's two, an eighth for the four others
(`infer_mirror_translate` of Keller Jordan's airbench94.py). Must not know the recipe or the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


def average_views(kind: str, net: Callable[[Any], Any], images: Any, plain: Any) -> Any:
    """Logits (b, classes), a mean over views of `images` (b, side, side, 3). `plain`: the logits of `images` as is."""
    pair = 0.5 * plain + 0.5 * net(_mirror(images))
    if kind == "flip":
        return pair
    shifted = [_mirror_pair(net, _shift(images, by)) for by in (-1, 1)]
    return 0.5 * pair + 0.25 * (shifted[0] + shifted[1])


def _mirror_pair(net: Callable[[Any], Any], images: Any) -> Any:
    return 0.5 * net(images) + 0.5 * net(_mirror(images))


def _mirror(images: Any) -> Any:
    return ops.flip(images, axis=2)


def _shift(images: Any, by: int) -> Any:
    """By one pixel along both axes, the edge filled with its mirror image."""
    side = images.shape[1]
    seen = np.pad(np.arange(side, dtype=np.int32), 1, mode="reflect")[1 + by : 1 + by + side]
    return ops.take(ops.take(images, seen, axis=1), seen, axis=2)
