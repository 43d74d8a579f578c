"""Exponential moving averages of a model's weights and batch-norm statistics, used for evaluation.

David Page's bag of tricks updates them every few steps with decay^every, and includes the running statistics (Keras'
own `use_ema` leaves these out). Keller Jordan's airbench raises the decay over the run, and copies the average back
into the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.recipe.optimizer import Ema


class WeightAverages:
    """Initialized with the weights. Call `update` inside a training step and `swapped_in` around an evaluation."""

    def __init__(self, weights: Sequence[Any], knobs: Ema, steps: int) -> None:
        """`steps`: number of steps of the whole run."""
        self.weights = list(weights)
        self.variables = [
            keras.Variable(ops.copy(weight.value), dtype=weight.dtype, trainable=False) for weight in self.weights
        ]
        self.steps = keras.Variable(0, dtype="int32", trainable=False, name="steps")
        self._decays = step_decays(knobs, steps)
        self._copies_back = knobs.put_back

    def update(self) -> None:
        """Update the averages after a step; a no-op on the steps between two updates."""
        step = self.steps.value
        decay = ops.take(ops.convert_to_tensor(self._decays), ops.minimum(step, len(self._decays) - 1), axis=0)
        self.steps.assign(step + 1)
        for average, weight in zip(self.variables, self.weights, strict=True):
            now = average.value * decay + weight.value * (1.0 - decay)
            average.assign(now)
            if self._copies_back:
                weight.assign(ops.where(decay < 1.0, now, weight.value))

    def swapped_in(self) -> Any:
        """A context in which the model computes with the averages."""
        return keras.StatelessScope(
            [(weight, average.value) for weight, average in zip(self.weights, self.variables, strict=True)]
        )


def step_decays(knobs: Ema, steps: int) -> NDArray[np.float32]:
    """The share of the average that each step keeps: float32 (steps,), 1 on steps without an update.

    An update keeps decay^every * (step / steps)^rise: `triangle` and `LookaheadState` of airbench94.py.
    """
    number = np.arange(1, steps + 1)
    decay = knobs.decay**knobs.every * (number / steps) ** knobs.rise
    return np.where(number % knobs.every, 1.0, decay).astype(np.float32)
