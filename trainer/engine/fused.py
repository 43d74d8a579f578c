"""Keras layers and SGD rewritten with fused TensorFlow operations: faster on a CPU, and with less memory.

Importing this imports TensorFlow and Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

# Activations per image from which a layer counts as large: no layer is that large at width 8; at width 64, all that
# determine peak memory do.
LARGE_VALUES = 2**15


class FusedBatchNorm(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras' layer with the same results, up to rounding. Inputs (b, rows, columns, channels) in float32 only."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        return self._update_statistics(inputs, *self._normal(inputs, *self._learned()))

    def _learned(self) -> tuple[Any, Any]:
        """Scale and shift, (channels,) each."""
        shift = tf.convert_to_tensor(self.beta.value)
        return tf.convert_to_tensor(self.gamma.value) if self.scale else tf.ones_like(shift), shift

    def _normal(self, inputs: Any, scale: Any, shift: Any) -> tuple[Any, Any, Any]:
        """(normalized inputs, mean, variance) of the batch; the variance is the unbiased one, n / (n - 1) times it."""
        made = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=scale, offset=shift, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        return made.y, made.batch_mean, made.batch_variance

    def _update_statistics(self, inputs: Any, outputs: Any, mean: Any, variance: Any) -> Any:
        """`outputs`, after updating the running statistics with the batch's."""
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance * _bias_factor(inputs))):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return outputs


class PooledBatchNorm(FusedBatchNorm):
    """Batch norm, a monotonic activation, and max pooling, as one layer.

    The largest value becomes the largest activation, so pooling first gives the same result with less to activate.
    Arrays of the input's size are the largest of a model. If they are large, only the input is kept for the backward
    pass: the gradient of the scale needs normalized values at the maximum of each window only, and the gradient of the
    input is linear in it, so it can be written over it. This would make a model of small arrays a tenth slower.
    """

    def __init__(self, activation: Callable[[Any], Any], size: int, large: int = LARGE_VALUES, **knobs: Any) -> None:
        """`size`: of the pooling window. `large`: see LARGE_VALUES. `knobs`: the batch norm's settings."""
        super().__init__(**knobs)
        self._activation, self._size, self._large = activation, size, large

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or not _is_large(inputs, self._large):
            return self._activation(self._highest(super().call(inputs, training=training, mask=mask)))

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(inputs: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            # With a negative scale the largest output is the smallest input; with both signs flipped it is the largest.
            sign = tf.where(scale < 0, -1.0, 1.0)
            rising, positive = inputs * sign, scale * sign
            normal, mean, variance = self._normal(rising, positive, shift)

            def backward(above: Any, *_: Any) -> Any:
                with tf.control_dependencies([above]):  # not before it is needed
                    return self._gradients(rising, positive, sign, mean, variance, above)

            return (self._highest(normal), mean * sign, variance), backward

        return self._activation(self._update_statistics(inputs, *forward(inputs, *self._learned())))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        return batch, rows and rows // self._size, columns and columns // self._size, channels

    def _gradients(
        self, inputs: Any, scale: Any, sign: Any, mean: Any, variance: Any, above: Any
    ) -> tuple[Any, Any, Any]:
        """Gradients of inputs, scale and shift. `inputs` and `scale` are passed times `sign`.

        Ioffe and Szegedy, "Batch normalization", arXiv 1502.03167, section 3.
        """
        count = _count(inputs)
        inverse = tf.math.rsqrt(variance * _bias_factor(inputs) + self.epsilon)
        highest = self._highest(inputs)
        of_scale = tf.reduce_sum(above * (highest - mean) * inverse, [0, 1, 2])  # times the sign, as `scale` is passed
        of_shift = tf.reduce_sum(above, [0, 1, 2])
        slope, window = scale * inverse * sign, [1, self._size, self._size, 1]
        direct = tf.raw_ops.MaxPoolGrad(
            orig_input=inputs,
            orig_output=highest,
            grad=above * slope,
            ksize=window,
            strides=window,
            padding="VALID",
        )
        with tf.control_dependencies([direct]):  # the last use of the inputs, so TensorFlow may overwrite them
            through = inputs * (-slope * inverse * of_scale / count)  # the part through mean and variance
            of_inputs = direct + (through + slope * (inverse * mean * of_scale - of_shift) / count)
        return of_inputs, of_scale * sign, of_shift

    def _highest(self, values: Any) -> Any:
        return tf.nn.max_pool2d(values, self._size, self._size, "VALID")


class RecomputedBatchNorm(FusedBatchNorm):
    """Batch norm of `make(source)`: if large, that array is recomputed in the backward pass instead of kept for it
    (Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174).

    For the first convolution of a model, which turns three channels into many in little time.
    """

    def __init__(self, make: Callable[[Any], Any], large: int = LARGE_VALUES, **knobs: Any) -> None:
        """`large`: see LARGE_VALUES. `knobs`: of the batch norm."""
        super().__init__(**knobs)
        self._make, self._large = make, large

    def build(self, input_shape: list[Any]) -> None:
        super().build(input_shape[0])
        self.input_spec = None  # Keras' spec expects a single input

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs`: (make(source), source)."""
        made, source = inputs
        if not training or not _is_large(made, self._large):
            return super().call(made, training=training)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(made: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            def backward(above: Any, *_: Any) -> Any:
                # Not before it is needed; and a graph would merge the two equal operations into one.
                with tf.control_dependencies([above]), tf.GradientTape() as tape:
                    again = self._make(source)
                    tape.watch([again, scale, shift])
                    normal = self._normal(again, scale, shift)[0]
                return tape.gradient(normal, [again, scale, shift], above)

            return self._normal(made, scale, shift), backward

        return self._update_statistics(made, *forward(made, *self._learned()))

    def compute_output_shape(self, input_shape: list[Any]) -> Any:
        return input_shape[0]


def _is_large(inputs: Any, large: int) -> bool:
    return bool(math.prod(inputs.shape[1:]) >= large)


def _bias_factor(inputs: Any) -> Any:
    """Factor from the unbiased variance of a sample to its biased one, (n - 1) / n."""
    return 1 - 1 / _count(inputs)


def _count(inputs: Any) -> Any:
    """Number of values per channel."""
    return tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")


class FusedSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras' SGD with the same updates, up to rounding, done in place: new arrays among those that a step frees would
    fragment memory until no large array fits."""

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
