"""One optimizer step on a batch on the device: loss, gradients, weight decay, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.engine.backend import Backend
from trainer.engine.sums import add_batch, cross_entropy, new_sums
from trainer.recipe import Recipe

GRADIENT_FACTOR = {"l2": 2.0, "coupled": 1.0, "decoupled": 0.0}  # the gradient gets this times value times weight


class TrainStep:
    """A model's optimizer and its running training metrics."""

    def __init__(self, backend: Backend, model: Any, recipe: Recipe, classes: int, rates: NDArray[np.float32]) -> None:
        """`rates`: float32, one per step of the whole run."""
        self.model, self.classes = model, classes
        self.knobs, self.loss, self.decay = recipe.optimizer, recipe.loss, recipe.optimizer.weight_decay
        self.optimizer = backend.sgd(
            learning_rate=RateTable(rates), momentum=self.knobs.momentum, nesterov=self.knobs.nesterov
        )
        self.trained: Sequence[Any] = model.trainable_variables
        self.optimizer.build(self.trained)
        self.decayed = [weight for weight in self.trained if self.decay.on == "all" or _is_convolution_kernel(weight)]
        # a variable, so that the training program itself can take a step without decay (see measure_step)
        self.strength = keras.Variable(self.decay.value, dtype="float32", trainable=False, name="decay")
        self.sums = new_sums("training")
        # the bias of a frozen convolution is trained for this many steps, then frozen like its filters
        self._held = [weight for weight in self.trained if weight.name == "bias"]
        self._held_from = round(getattr(recipe.model, "bias_epochs", 0) * len(rates) / recipe.epochs)
        self._backend = backend

    def step(self, images: Any, shares: Any) -> Any:
        """Call inside a program. `images` (b, side, side, 3), soft labels `shares` (b, classes).

        Returns [label entropy, smallest input, largest input].
        """
        targets = shares
        if smoothing := self.loss.label_smoothing:
            targets = shares * (1 - smoothing) + smoothing / self.classes

        def loss() -> tuple[Any, Any]:
            logits = self.model(images, training=True)
            losses = cross_entropy(logits, targets)
            return ops.sum(losses) if self.loss.reduction == "sum" else ops.mean(losses), (logits, losses)

        (logits, losses), gradients = self._backend.compute_gradients(loss, self.trained)
        penalty = self._penalty()
        decayed = [self._add_decay(gradient, weight) for gradient, weight in zip(gradients, self.trained, strict=True)]
        if self.decay.kind == "decoupled" and self.decay.value:
            rate = self.optimizer.learning_rate
            for weight in self.decayed:
                weight.assign(weight.value - rate * self.strength.value * weight.value)
        # copies of the current values: on TensorFlow `value` alone is the variable itself
        step, before = self.optimizer.iterations.value + 0, [weight.value + 0.0 for weight in self._held]
        self.optimizer.apply(decayed, self.trained)
        for weight, old in zip(self._held, before, strict=True):
            weight.assign(ops.where(step < self._held_from, weight.value, old))
        add_batch(self.sums, losses, penalty, logits, shares)
        positive = ops.maximum(targets, np.float32(1e-30))
        entropy = ops.mean(-ops.sum(targets * ops.log(positive), axis=-1))
        return ops.stack([entropy, ops.min(images), ops.max(images)])

    def _penalty(self) -> Any:
        """What Keras' `l2(value)` regularizer would add to the loss: value · sum(w²)."""
        if self.decay.kind != "l2" or not self.decay.value:
            return ops.convert_to_tensor(0.0, "float32")
        squares = [ops.sum(ops.square(weight.value)) for weight in self.decayed]
        return self.strength.value * sum(squares[1:], squares[0])

    def _add_decay(self, gradient: Any, weight: Any) -> Any:
        """The gradient plus weight decay: 2·value·w (l2), value·w (coupled), nothing (decoupled).

        Decay is not scaled by the bias learning rate: with a rate of f times the others', its decay is 1/f of theirs.
        """
        # Keras' SGD has one rate for all weights: f times the gradient is f times the rate
        if weight.name == "beta" and self.knobs.bias_rate != 1:
            gradient = self.knobs.bias_rate * gradient
        factor = GRADIENT_FACTOR[self.decay.kind]
        if factor and self.decay.value and any(weight is decayed for decayed in self.decayed):
            gradient = gradient + factor * self.strength.value * weight.value
        return gradient


def _is_convolution_kernel(weight: Any) -> bool:
    return weight.name == "kernel" and len(weight.shape) == 4


@keras.saving.register_keras_serializable("pitwall")
class RateTable(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """float32 rates, one per step of the whole run; later steps use the last rate."""

    def __init__(self, rates: NDArray[np.float32]) -> None:
        super().__init__()
        self.rates = np.asarray(rates, np.float32)
        self._table = keras.ops.convert_to_tensor(self.rates)

    def __call__(self, step: Any) -> Any:
        last = len(self.rates) - 1
        return keras.ops.take(self._table, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}
