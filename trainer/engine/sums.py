"""Running sums of loss and accuracy that stay on the device until they are read."""

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
    """[loss, penalty, correct, count] in float64: a float32 sum of 50,000 losses loses its last digits."""
    return keras.Variable(ZEROS, dtype="float64", trainable=False, name=name)


def cross_entropy(logits: Any, targets: Any) -> Any:
    """float32 (b,), natural logarithm, of `logits` and soft labels `targets`, both (b, classes)."""
    logits = ops.cast(logits, "float32")
    return ops.logsumexp(logits, axis=-1) * ops.sum(targets, axis=-1) - ops.sum(targets * logits, axis=-1)


def add_batch(sums: Any, losses: Any, penalty: Any, logits: Any, shares: Any) -> None:
    """Add a batch. `losses` (b,), `logits` and soft labels `shares` (b, classes), `penalty` of the whole model."""
    hits = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(shares, axis=-1))
    count = ops.sum(ops.ones_like(losses, dtype="float64"))
    values = [
        ops.sum(ops.cast(losses, "float64")),
        ops.cast(penalty, "float64") * count,
        ops.sum(ops.cast(hits, "float64")),
        count,
    ]
    sums.assign(sums.value + ops.stack(values))


def compute_means(values: NDArray[np.float64]) -> MeanMetrics:
    """The accuracy is exactly the quotient of two integers: rounded otherwise, 99 of 110 would miss a target of 0.9."""
    loss, penalty = float(values[0]), float(values[1])
    correct, count = int(values[2]), int(values[3])
    if not count:
        return MeanMetrics(count=0, loss=math.nan, accuracy=math.nan, penalty=math.nan)
    return MeanMetrics(count=count, loss=loss / count, accuracy=correct / count, penalty=penalty / count)
