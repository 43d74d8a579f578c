"""A running average of a net's weights and batch-norm statistics, for an evaluation to see in their place. Keras only.

David Page's bag of tricks: every few steps, by the power of the decay, over the running statistics too (Keras' own
`use_ema` leaves these out). Keller Jordan's airbench: the decay rises with the run, and training goes on from the
average. Must not know what is evaluated.
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
    """Begin as the weights are. `toward` inside the program of a step; `in_place` around an evaluation's net."""

    def __init__(self, weights: Sequence[Any], knobs: Ema, steps: int) -> None:
        """`steps`: of the whole run."""
        self.weights = list(weights)
        self.variables = [
            keras.Variable(ops.copy(weight.value), dtype=weight.dtype, trainable=False) for weight in self.weights
        ]
        self.steps = keras.Variable(0, dtype="int32", trainable=False, name="steps")
        self._kept = step_decays(knobs, steps)
        self._puts_back = knobs.put_back

    def update(self) -> None:
        """After a step: the averages take their part of the weights, where it is their turn."""
        step = self.steps.value
        kept = ops.take(ops.convert_to_tensor(self._kept), ops.minimum(step, len(self._kept) - 1), axis=0)
        self.steps.assign(step + 1)
        for average, weight in zip(self.variables, self.weights, strict=True):
            now = average.value * kept + weight.value * (1.0 - kept)
            average.assign(now)
            if self._puts_back:
                weight.assign(ops.where(kept < 1.0, now, weight.value))

    def swapped_in(self) -> Any:
        """A context in which the net computes with the averages."""
        return keras.StatelessScope(
            [(weight, average.value) for weight, average in zip(self.weights, self.variables, strict=True)]
        )


def step_decays(knobs: Ema, steps: int) -> NDArray[np.float32]:
    """How much of the average each step keeps: float32 (steps,), 1 where the average stays as it is.

    decay^every where it is its turn, times (done / steps)^rise: `triangle` and `LookaheadState` of airbench94.py.
    """
    number = np.arange(1, steps + 1)
    kept = knobs.decay**knobs.every * (number / steps) ** knobs.rise
    return np.where(number % knobs.every, 1.0, kept).astype(np.float32)
