"""What Keras composes of many operations, as few of TensorFlow's own: on a CPU faster, and it takes less memory.

Importing this imports TensorFlow and Keras. Must not know nets or steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

WIDE = 128  # channels


class FusedBatchNorm(keras.layers.BatchNormalization):  # type: ignore[misc]
    """The same layer with the same numbers, to rounding. Pictures (b, rows, columns, channels) in float32 only."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        return self._noted(inputs, *self._normal(inputs, *self._learned()))

    def _learned(self) -> tuple[Any, Any]:
        """Scale and shift, (channels,) each."""
        shift = tf.convert_to_tensor(self.beta.value)
        return tf.convert_to_tensor(self.gamma.value) if self.scale else tf.ones_like(shift), shift

    def _normal(self, inputs: Any, scale: Any, shift: Any) -> tuple[Any, Any, Any]:
        """Normalised by the mean and variance of the batch, which are answered, too."""
        made = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=scale, offset=shift, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        return made.y, made.batch_mean, made.batch_variance

    def _noted(self, inputs: Any, given: Any, mean: Any, variance: Any) -> Any:
        """`given`, once the running statistics have taken their part of the batch's."""
        # The operation answers the variance of a sample, n / (n - 1) of the batch's own, which Keras keeps.
        values = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance * (values - 1) / values)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return given


class PooledBatchNorm(FusedBatchNorm):
    """Batch norm, an activation that never falls, and max pooling, as one layer.

    The largest value becomes the largest activation: to pool first gives the same, and leaves less to activate. With
    many channels the normalised values, the largest array of all, are not kept for the backward pass but computed again
    (Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174): that costs nothing next to the
    convolutions. With few the array is small, and a net would be a tenth slower.
    """

    def __init__(self, activation: Callable[[Any], Any], size: int, **knobs: Any) -> None:
        """`size`: rows and columns that are pooled to one. `knobs`: of the batch norm."""
        super().__init__(**knobs)
        self._activation, self._size = activation, size

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or inputs.shape[-1] < WIDE:
            return self._pooled(super().call(inputs, training=training, mask=mask))

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(inputs: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            normal, mean, variance = self._normal(inputs, scale, shift)

            def backward(above: Any, *_: Any) -> Any:
                # Not before it is wanted; and a graph would make one of two equal operations.
                with tf.control_dependencies([above]), tf.GradientTape() as tape:
                    tape.watch([inputs, scale, shift])
                    again = self._pooled(self._normal(inputs, scale, shift)[0])
                return tape.gradient(again, [inputs, scale, shift], above)

            return (self._pooled(normal), mean, variance), backward

        return self._noted(inputs, *forward(inputs, *self._learned()))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        return batch, rows and rows // self._size, columns and columns // self._size, channels

    def _pooled(self, values: Any) -> Any:
        return self._activation(tf.nn.max_pool2d(values, self._size, self._size, "VALID"))


class FusedSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """The same update with the same numbers, to rounding. Every variable stays where it lies in memory: new ones among
    what a step frees would leave holes that nothing large fits in."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )
