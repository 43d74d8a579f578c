"""A running average of a net's weights and batch-norm statistics, swapped in for evaluation. TensorFlow only.

David Page's bag of tricks: every few steps, by the power of the decay, over the running statistics too
(Keras' own `use_ema` leaves these out). Must not know the recipe or what is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Average:
    """Begins as the weights are. `update` after each step, `swap_in` before an evaluation, `swap_out` after it."""

    def __init__(self, weights: Sequence[Any], decay: float, every: int) -> None:
        self.weights = list(weights)
        self.variables = [tf.Variable(weight.value, trainable=False) for weight in self.weights]
        self._kept = tf.constant(decay**every, tf.float32)
        self._every = every
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.is_in = False
        self._update = tf.function(self._toward)
        self._exchange = tf.function(self._exchanged)

    def update(self) -> None:
        self._update()

    def swap_in(self) -> None:
        if not self.is_in:
            self._exchange()
            self.is_in = True

    def swap_out(self) -> None:
        if self.is_in:
            self._exchange()
            self.is_in = False

    def _toward(self) -> None:
        self.steps.assign_add(1)
        if self.steps % self._every == 0:
            for average, weight in zip(self.variables, self.weights, strict=True):
                average.assign(average * self._kept + weight.value * (1.0 - self._kept))

    def _exchanged(self) -> None:
        for average, weight in zip(self.variables, self.weights, strict=True):
            value = tf.identity(weight.value)
            weight.assign(average)
            average.assign(value)
