"""Sums over pictures that stay on the device until somebody reads them. Must not know the net or the recipe."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.engine.interface import MeanMetrics

ZEROS = np.zeros(4)


def new_sums(name: str) -> Any:
    """[loss, penalty, correct, count], in float64: a float32 sum of 50,000 losses loses its last digits."""
    return keras.Variable(ZEROS, dtype="float64", trainable=False, name=name)


def cross_entropy(logits: Any, targets: Any) -> Any:
    """(b,) float32, natural logarithm, of `logits` and label shares (b, classes)."""
    logits = ops.cast(logits, "float32")
    return ops.logsumexp(logits, axis=-1) * ops.sum(targets, axis=-1) - ops.sum(targets * logits, axis=-1)


def add_batch(sums: Any, losses: Any, penalty: Any, logits: Any, shares: Any) -> None:
    """Add a batch. `losses` (b,), `logits` and label `shares` (b, classes), `penalty` of the whole net."""
    hits = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(shares, axis=-1))
    pictures = ops.sum(ops.ones_like(losses, dtype="float64"))
    values = [
        ops.sum(ops.cast(losses, "float64")),
        ops.cast(penalty, "float64") * pictures,
        ops.sum(ops.cast(hits, "float64")),
        pictures,
    ]
    sums.assign(sums.value + ops.stack(values))


def compute_means(values: NDArray[np.float64]) -> MeanMetrics:
    loss, penalty, correct, pictures = (float(value) for value in values)
    share = 1 / pictures if pictures else math.nan
    return MeanMetrics(count=int(pictures), loss=loss * share, accuracy=correct * share, penalty=penalty * share)
