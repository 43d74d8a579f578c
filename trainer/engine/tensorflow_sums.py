"""Sums over pictures that stay on the device until somebody reads them. Must not know the net or the recipe."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from trainer.engine.interface import Sums


def new_sums() -> Any:
    """[loss, penalty, correct, count], in float64: a float32 sum of 50,000 losses loses its last digits."""
    return tf.Variable(tf.zeros(4, tf.float64), trainable=False)


def count(sums: Any, losses: Any, penalty: Any, logits: Any, shares: Any) -> None:
    """Add a batch. `losses` (b,), `logits` and label `shares` (b, classes), `penalty` of the whole net."""
    hits = tf.equal(tf.argmax(logits, axis=-1), tf.argmax(shares, axis=-1))
    pictures = tf.cast(tf.shape(losses)[0], tf.float64)
    values = [
        tf.reduce_sum(tf.cast(losses, tf.float64)),
        tf.cast(penalty, tf.float64) * pictures,
        tf.reduce_sum(tf.cast(hits, tf.float64)),
        pictures,
    ]
    sums.assign_add(tf.stack(values))


def means(sums: Any) -> Sums:
    loss, penalty, correct, pictures = (float(value) for value in sums.numpy())
    share = 1 / pictures if pictures else math.nan
    return Sums(count=int(pictures), loss=loss * share, accuracy=correct * share, penalty=penalty * share)


def emptied(sums: Any) -> Sums:
    found = means(sums)
    sums.assign(tf.zeros_like(sums))
    return found
