"""What Keras composes of many operations, as few of TensorFlow's own: on a CPU faster, and it takes less memory.

Importing this imports TensorFlow and Keras. Must not know nets or steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

LARGE_VALUES = (
    2**15
)  # values that a layer has of a picture: none has at width 8, those that decide the peak all have at 64


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
        """Normalised by the mean and variance of the batch, which are answered, too, the latter n / (n - 1) of it."""
        made = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=scale, offset=shift, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        return made.y, made.batch_mean, made.batch_variance

    def _noted(self, inputs: Any, given: Any, mean: Any, variance: Any) -> Any:
        """`given`, once the running statistics have taken their part of the batch's."""
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance * _bessel(inputs))):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return given


class PooledBatchNorm(FusedBatchNorm):
    """Batch norm, an activation that never falls, and max pooling, as one layer.

    The largest value becomes the largest activation: to pool first gives the same, and leaves less to activate. Arrays
    as large as what comes in are the largest of a net. Where they are large at all, only that one is kept for the
    backward pass: the gradient of the scale needs normalised values at the largest of each window alone, and that of
    what came in is linear in it, so that it can be written over it. A net of small ones would be a tenth slower.
    """

    def __init__(self, activation: Callable[[Any], Any], size: int, large: int = LARGE_VALUES, **knobs: Any) -> None:
        """`size`: rows and columns that are pooled to one. `large`: see LARGE. `knobs`: of the batch norm."""
        super().__init__(**knobs)
        self._activation, self._size, self._large = activation, size, large

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or not _is_large(inputs, self._large):
            return self._activation(self._highest(super().call(inputs, training=training, mask=mask)))

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(inputs: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            # The largest after a scale below 0 is the smallest before it; with both signs changed it is the largest.
            sign = tf.where(scale < 0, -1.0, 1.0)
            rising, positive = inputs * sign, scale * sign
            normal, mean, variance = self._normal(rising, positive, shift)

            def backward(above: Any, *_: Any) -> Any:
                with tf.control_dependencies([above]):  # not before it is wanted
                    return self._gradients(rising, positive, sign, mean, variance, above)

            return (self._highest(normal), mean * sign, variance), backward

        return self._activation(self._noted(inputs, *forward(inputs, *self._learned())))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        return batch, rows and rows // self._size, columns and columns // self._size, channels

    def _gradients(
        self, inputs: Any, scale: Any, sign: Any, mean: Any, variance: Any, above: Any
    ) -> tuple[Any, Any, Any]:
        """Of inputs and scale, which are given here times `sign`, and of shift.

        Ioffe and Szegedy, "Batch normalization", arXiv 1502.03167, section 3.
        """
        count = _count(inputs)
        inverse = tf.math.rsqrt(variance * _bessel(inputs) + self.epsilon)
        highest = self._highest(inputs)
        of_scale = tf.reduce_sum(above * (highest - mean) * inverse, [0, 1, 2])  # times the sign, as it is given
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
        with tf.control_dependencies([direct]):  # this one alone wants the inputs still, and may overwrite them
            through = inputs * (-slope * inverse * of_scale / count)  # what each has changed in mean and variance
            of_inputs = direct + (through + slope * (inverse * mean * of_scale - of_shift) / count)
        return of_inputs, of_scale * sign, of_shift

    def _highest(self, values: Any) -> Any:
        return tf.nn.max_pool2d(values, self._size, self._size, "VALID")


class RecomputedBatchNorm(FusedBatchNorm):
    """Batch norm of what `make` makes of a smaller array: if large, it is not kept for the backward pass but made again
    (Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174).

    For the first convolution of a net: three channels become many, in little time.
    """

    def __init__(self, make: Callable[[Any], Any], large: int = LARGE_VALUES, **knobs: Any) -> None:
        """`large`: see LARGE. `knobs`: of the batch norm."""
        super().__init__(**knobs)
        self._make, self._large = make, large

    def build(self, input_shape: list[Any]) -> None:
        super().build(input_shape[0])
        self.input_spec = None  # of a layer with one input

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs`: what was made, and what of."""
        made, source = inputs
        if not training or not _is_large(made, self._large):
            return super().call(made, training=training)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(made: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            def backward(above: Any, *_: Any) -> Any:
                # Not before it is wanted; and a graph would make one of two equal operations.
                with tf.control_dependencies([above]), tf.GradientTape() as tape:
                    again = self._make(source)
                    tape.watch([again, scale, shift])
                    normal = self._normal(again, scale, shift)[0]
                return tape.gradient(normal, [again, scale, shift], above)

            return self._normal(made, scale, shift), backward

        return self._noted(made, *forward(made, *self._learned()))

    def compute_output_shape(self, input_shape: list[Any]) -> Any:
        return input_shape[0]


def _is_large(inputs: Any, large: int) -> bool:
    return bool(math.prod(inputs.shape[1:]) >= large)


def _bessel(inputs: Any) -> Any:
    """What a variance is of that which is estimated from a sample, (n - 1) / n."""
    return 1 - 1 / _count(inputs)


def _count(inputs: Any) -> Any:
    """How many values each channel has."""
    return tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")


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
