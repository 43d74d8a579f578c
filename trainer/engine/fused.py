"""Batch norm as one of TensorFlow's own operations, forward and backward: on a CPU faster than what Keras composes.

Importing this imports TensorFlow and Keras. Must not know nets or steps.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNorm(keras.layers.BatchNormalization):  # type: ignore[misc]
    """The same layer with the same numbers, to rounding. Pictures (b, rows, columns, channels) in float32 only."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        offset = self.beta.value
        made = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value if self.scale else tf.ones_like(offset),
            offset=offset,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation answers the variance of a sample, n / (n - 1) of the batch's own, which Keras keeps.
        values = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")
        variance = made.batch_variance * (values - 1) / values
        for moving, now in ((self.moving_mean, made.batch_mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return made.y
