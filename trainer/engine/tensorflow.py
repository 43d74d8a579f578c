"""The training step on TensorFlow: one compiled program per shape, sums kept on the device.

Importing this imports TensorFlow (seconds). Must not know events, clocks, data sets or augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.augment.selections import Labels
from trainer.engine.average import Average
from trainer.engine.interface import Images, Sums, Witnessed
from trainer.engine.rate_table import RateTable
from trainer.engine.tensorflow_state import put_back, taken, variables, weights
from trainer.engine.tensorflow_sums import count, emptied, means, new_sums
from trainer.models.net import build
from trainer.models.resnet9 import resnet9
from trainer.recipe import Recipe

PULL = {"l2": 2.0, "coupled": 1.0, "decoupled": 0.0}  # what the gradient gets, in values times weight


class TensorFlowEngine:
    """See `trainer.engine.interface.Engine`. One per process: it seeds Keras' global generators."""

    def __init__(
        self,
        recipe: Recipe,
        classes: int,
        learning_rates: NDArray[np.float32],
        whitening: NDArray[np.float32] | None = None,
    ) -> None:
        """`learning_rates`: float32, one per step of the whole run. `whitening`: the kernel, if the net has one."""
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Take memory as needed: the default grabs the whole card and starves a neighbour.
            tf.config.experimental.set_memory_growth(gpu, True)
        self.on_gpu = bool(gpus)
        keras.utils.set_random_seed(recipe.seed)
        self.model = build(resnet9(recipe.model, classes), recipe.model.init, whitening)
        self.optimizer = keras.optimizers.SGD(
            learning_rate=RateTable(learning_rates),
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
        )
        self.trained = self.model.trainable_variables
        self.optimizer.build(self.trained)
        self.knobs, self.loss = recipe.optimizer, recipe.loss
        self.decay = recipe.optimizer.weight_decay
        self.decayed = [weight for weight in self.trained if self.decay.on == "all" or _is_convolution_kernel(weight)]
        # a variable, so that a step can be done without decay by the very program that is trained with
        self._strength = tf.Variable(self.decay.value, dtype=tf.float32, trainable=False)
        self.average = Average(self.model.weights, recipe.ema.decay, recipe.ema.every) if recipe.ema else None
        self.classes = classes
        self._smallest = recipe.model.ghost_batch or 1
        self._training, self._evaluation = new_sums(), new_sums()
        others = {"decay": self._strength, "sums/training": self._training, "sums/evaluation": self._evaluation}
        self._named = variables(self.model, self.optimizer, self.average, others)
        self._predicted: list[Any] = []  # of the evaluation under way or the latest one, a batch each
        self._evaluating = False
        self._seen: Any = None  # of the latest step: label entropy, smallest and largest input
        # The number of pictures stays open, so that a smaller last batch is not traced anew. XLA pays on a
        # GPU; on a CPU its convolutions are slower than TensorFlow's own.
        batch = [
            tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32),
            tf.TensorSpec((None, classes), tf.float32),
        ]
        compiled = tf.function(input_signature=batch, jit_compile=self.on_gpu)
        self._step: Callable[[Any, Any], Any] = compiled(self._train_step)
        self._evaluate: Callable[[Any, Any], Any] = compiled(self._evaluation_step)

    def parameters(self) -> dict[str, int]:
        trainable = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
        total = self.model.count_params()
        return {"total": total, "trainable": trainable, "non_trainable": total - trainable}

    def device(self) -> str:
        if not self.on_gpu:
            return "cpu"
        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        return str(details.get("device_name", "gpu"))

    def compile(self, batch_sizes: list[int], evaluation_sizes: list[int]) -> None:
        """Run both programs once on empty pictures, then put every variable back.

        XLA compiles for each batch size anew. Without it one small batch stands for all sizes.
        """
        small = min(batch_sizes[0], 8) if self._smallest == 1 else self._smallest
        with self._undone():
            for sizes, run in ((batch_sizes, self.step), (evaluation_sizes, self.evaluate)):
                for size in sorted(set(sizes)) if self.on_gpu else [min(sizes[0], small)]:
                    images = np.zeros((size, *self.model.input_shape[1:]), np.float32)
                    run(images, np.arange(size, dtype=np.int64) % self.classes)
            self.evaluation_end()  # averages that were swapped in are out again
        self.synchronize()

    def step(self, images: Images, labels: Labels) -> None:
        self._seen = self._step(tf.convert_to_tensor(images), self._shares(labels))
        if self.average:
            self.average.update()

    def witness(self, images: Images, labels: Labels, step: int, moving_step: int) -> Witnessed:
        """See the interface. With no momentum stored, a step moves a weight by the rate times its gradient (times
        1 + momentum with Nesterov): a movement is read as the gradient that made it, decay as the difference.
        """
        watched = self.decayed if self.decay.value else self.trained
        with self._undone():
            self.optimizer.iterations.assign(step)
            rate = float(self.optimizer.learning_rate)
        moved = []
        for strength in (0.0, self.decay.value):
            with self._undone():
                for momentum in self.optimizer.momentums:
                    momentum.assign(tf.zeros_like(momentum))
                self.optimizer.iterations.assign(moving_step)
                unit = float(self.optimizer.learning_rate) * (1 + self.knobs.momentum * self.knobs.nesterov)
                self._strength.assign(strength)
                before = [weight.numpy().astype(np.float64) for weight in watched]
                self.step(images, labels)
                after = [weight.numpy().astype(np.float64) for weight in watched]
                scale = 1 / unit if unit else 0.0
                moved.append([(new - old) * scale for new, old in zip(after, before, strict=True)])
        entropy, low, high = (float(value) for value in self._seen)
        return Witnessed(
            learning_rate=rate,
            label_entropy=entropy,
            input_low=low,
            input_high=high,
            gradient_norm=_norm(moved[0]),
            decay_norm=_norm([with_it - without for without, with_it in zip(*moved, strict=True)]),
            weight_norm=_norm(before),
        )

    def progress(self) -> Sums:
        return means(self._training)

    def epoch_end(self) -> Sums:
        return emptied(self._training)

    def evaluate(self, images: Images, labels: Labels) -> None:
        if self.average:
            self.average.swap_in()
        if not self._evaluating:
            self._predicted, self._evaluating = [], True
        self._predicted.append(self._evaluate(tf.convert_to_tensor(images), self._shares(labels)))

    def evaluation_end(self) -> Sums:
        self._evaluating = False
        if self.average:
            self.average.swap_out()
        return emptied(self._evaluation)

    def predictions(self) -> NDArray[np.uint16]:
        return np.concatenate([one.numpy() for one in self._predicted]).astype(np.uint16)

    def state(self) -> dict[str, NDArray[Any]]:
        if self.average:
            self.average.swap_out()
        return taken(self._named)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        put_back(self._named, state)

    def weights(self) -> dict[str, NDArray[Any]]:
        return weights(self._named, self.average)

    def synchronize(self) -> None:
        # Reading a variable that every step writes waits for all of them.
        self._training.numpy()
        self._evaluation.numpy()

    def _train_step(self, images: Any, shares: Any) -> Any:
        smoothing = self.loss.label_smoothing
        targets = shares * (1 - smoothing) + smoothing / self.classes
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_sum(losses) if self.loss.reduction == "sum" else tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self.trained)
        penalty = self._penalty()
        pulled = [
            self._rate_factor(weight) * gradient + self._pull(weight)
            for gradient, weight in zip(gradients, self.trained, strict=True)
        ]
        if self.decay.kind == "decoupled" and self.decay.value:
            rate = self.optimizer.learning_rate
            for weight in self.decayed:
                weight.assign(weight - rate * self._strength * weight)
        self.optimizer.apply(pulled, self.trained)
        count(self._training, losses, penalty, logits, shares)
        entropy = tf.reduce_mean(-tf.reduce_sum(tf.math.xlogy(targets, targets), axis=-1))
        return tf.stack([entropy, tf.reduce_min(images), tf.reduce_max(images)])

    def _evaluation_step(self, images: Any, shares: Any) -> Any:
        logits = self.model(images, training=False)
        losses = tf.nn.softmax_cross_entropy_with_logits(shares, logits)
        count(self._evaluation, losses, tf.constant(0.0), logits, shares)
        return tf.argmax(logits, axis=-1, output_type=tf.int32)

    def _penalty(self) -> Any:
        """What Keras' `l2(value)` regulariser would add to the loss: value · sum(w²)."""
        if self.decay.kind != "l2" or not self.decay.value:
            return tf.constant(0.0)
        squares = [tf.reduce_sum(tf.square(tf.convert_to_tensor(weight))) for weight in self.decayed]
        return self._strength * tf.add_n(squares)

    def _pull(self, weight: Any) -> Any:
        """What weight decay adds to the gradient: 2·value·w (l2), value·w (coupled), nothing (decoupled).

        Not multiplied by a bias' own rate: there the rate is f times, the decay 1/f of the others'.
        """
        factor = PULL[self.decay.kind]
        if not factor or not self.decay.value or not any(weight is decayed for decayed in self.decayed):
            return tf.constant(0.0)
        return factor * self._strength * tf.convert_to_tensor(weight)

    def _rate_factor(self, weight: Any) -> float:
        """Keras' SGD has one rate for all weights: a gradient of f times the size is a rate of f times the size."""
        return self.knobs.bias_rate if weight.name in {"beta", "bias"} else 1.0

    def _shares(self, labels: Labels) -> Any:
        return tf.one_hot(labels, self.classes) if labels.ndim == 1 else tf.convert_to_tensor(labels)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """Whatever is done inside, every variable has its old value afterwards."""
        kept = [(variable, tf.identity(tf.convert_to_tensor(variable))) for variable in self._named.values()]
        try:
            yield
        finally:
            for variable, value in kept:
                variable.assign(value)


def _is_convolution_kernel(weight: Any) -> bool:
    return weight.name == "kernel" and len(weight.shape) == 4


def _norm(parts: Sequence[NDArray[np.float64]]) -> float:
    return math.sqrt(sum(float((part**2).sum()) for part in parts))
