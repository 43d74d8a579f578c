"""Test-time augmentation (TTA): averages the logits over several views of each image.

flip: the image and its mirror image, weighted one half each (David Page's bag of tricks).
six: the image, and the image shifted by one pixel up and left, and down and right, each with its mirror image. The two
unshifted views weigh a quarter each, the four others an eighth (`infer_mirror_translate` of Keller Jordan's
airbench94.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


def average_views(kind: str, model: Callable[[Any], Any], images: Any, logits: Any) -> Any:
    """Logits (b, classes), averaged over views of `images` (b, side, side, 3). `logits`: those of `images` itself."""
    pair = 0.5 * logits + 0.5 * model(_mirror(images))
    if kind == "flip":
        return pair
    shifted = [_mirror_pair(model, _shift(images, by)) for by in (-1, 1)]
    return 0.5 * pair + 0.25 * (shifted[0] + shifted[1])


def _mirror_pair(model: Callable[[Any], Any], images: Any) -> Any:
    return 0.5 * model(images) + 0.5 * model(_mirror(images))


def _mirror(images: Any) -> Any:
    return ops.flip(images, axis=2)


def _shift(images: Any, by: int) -> Any:
    """Shift by one pixel along both axes, with reflection at the edge."""
    side = images.shape[1]
    indices = np.pad(np.arange(side, dtype=np.int32), 1, mode="reflect")[1 + by : 1 + by + side]
    return ops.take(ops.take(images, indices, axis=1), indices, axis=2)
