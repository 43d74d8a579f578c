"""The training step on TensorFlow: one compiled program per shape, sums kept on the device.

Importing this imports TensorFlow (seconds). Must not know events, clocks, data sets or augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.engine.interface import Images, Labels, Sums
from trainer.failures import OutOfMemory
from trainer.models.resnet9 import resnet9
from trainer.recipe import Recipe


class TensorFlowEngine:
    """See `trainer.engine.interface.Engine`. One per process: it seeds Keras' global generators."""

    def __init__(self, recipe: Recipe, classes: int, learning_rates: NDArray[np.float32]) -> None:
        """`learning_rates`: float32, one per step of the whole run."""
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Take memory as needed: the default grabs the whole card and starves a neighbour.
            tf.config.experimental.set_memory_growth(gpu, True)
        self.on_gpu = bool(gpus)
        keras.utils.set_random_seed(recipe.seed)
        self.model = resnet9(recipe.model, classes)
        self.optimizer = keras.optimizers.SGD(
            learning_rate=RateTable(learning_rates),
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
        )
        self.optimizer.build(self.model.trainable_variables)
        self.decay = recipe.optimizer.weight_decay
        self.decayed = [
            weight
            for weight in self.model.trainable_variables
            if self.decay.on == "all" or _is_convolution_kernel(weight)
        ]
        self.classes = classes
        # [loss, penalty, correct, count], in float64: a float32 sum of 50,000 losses loses its last digits.
        self._training = tf.Variable(tf.zeros(4, tf.float64), trainable=False)
        self._evaluation = tf.Variable(tf.zeros(4, tf.float64), trainable=False)
        # The number of pictures stays open, so that a smaller last batch is not traced anew. XLA pays on a
        # GPU; on a CPU its convolutions are slower than TensorFlow's own.
        batch = [
            tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32),
            tf.TensorSpec((None, classes), tf.float32),
        ]
        compiled = tf.function(input_signature=batch, jit_compile=self.on_gpu)
        self._step: Callable[[Any, Any], None] = compiled(self._train_step)
        self._evaluate: Callable[[Any, Any], None] = compiled(self._evaluation_step)

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
        kept = [(variable, variable.numpy()) for variable in self._all_variables()]
        for sizes, run in ((batch_sizes, self.step), (evaluation_sizes, self.evaluate)):
            for size in sorted(set(sizes)) if self.on_gpu else [min(sizes[0], 8)]:
                images = np.zeros((size, *self.model.input_shape[1:]), np.float32)
                run(images, np.arange(size, dtype=np.int64) % self.classes)
        for variable, value in kept:
            variable.assign(value)
        self.synchronize()

    def step(self, images: Images, labels: Labels) -> None:
        with _room_on_the_device():
            self._step(tf.convert_to_tensor(images), self._shares(labels))

    def progress(self) -> Sums:
        return _means(self._training)

    def epoch_end(self) -> Sums:
        return _emptied(self._training)

    def evaluate(self, images: Images, labels: Labels) -> None:
        with _room_on_the_device():
            self._evaluate(tf.convert_to_tensor(images), self._shares(labels))

    def evaluation_end(self) -> Sums:
        return _emptied(self._evaluation)

    def synchronize(self) -> None:
        # Reading a variable that every step writes waits for all of them.
        self._training.numpy()
        self._evaluation.numpy()

    def _train_step(self, images: Any, shares: Any) -> None:
        weights = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(shares, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, weights)
        penalty = self._penalty()
        gradients = [gradient + self._pull(weight) for gradient, weight in zip(gradients, weights, strict=True)]
        if self.decay.kind == "decoupled" and self.decay.value:
            rate = self.optimizer.learning_rate
            for weight in self.decayed:
                weight.assign(weight - rate * self.decay.value * weight)
        self.optimizer.apply(gradients, weights)
        _count(self._training, losses, penalty, logits, shares)

    def _evaluation_step(self, images: Any, shares: Any) -> None:
        logits = self.model(images, training=False)
        losses = tf.nn.softmax_cross_entropy_with_logits(shares, logits)
        _count(self._evaluation, losses, tf.constant(0.0), logits, shares)

    def _penalty(self) -> Any:
        """What Keras' `l2(value)` regulariser would add to the loss: value · sum(w²)."""
        if self.decay.kind != "l2" or not self.decay.value:
            return tf.constant(0.0)
        squares = [tf.reduce_sum(tf.square(tf.convert_to_tensor(weight))) for weight in self.decayed]
        return self.decay.value * tf.add_n(squares)

    def _pull(self, weight: Any) -> Any:
        """What weight decay adds to the gradient: 2·value·w (l2), value·w (coupled), nothing (decoupled)."""
        factor = {"l2": 2.0, "coupled": 1.0, "decoupled": 0.0}[self.decay.kind] * self.decay.value
        if not factor or not any(weight is decayed for decayed in self.decayed):
            return tf.constant(0.0)
        return factor * tf.convert_to_tensor(weight)

    def _shares(self, labels: Labels) -> Any:
        return tf.one_hot(labels, self.classes) if labels.ndim == 1 else tf.convert_to_tensor(labels)

    def _all_variables(self) -> list[Any]:
        """Weights, running statistics, dropout's counters, momenta, the step counter and the sums."""
        return [*self.model.variables, *self.optimizer.variables, self._training, self._evaluation]


@keras.saving.register_keras_serializable("pitwall")
class RateTable(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The learning rate of each step, looked up inside the compiled step by the optimiser's own counter."""

    def __init__(self, rates: NDArray[np.float32]) -> None:
        """`rates`: float32 (steps of the whole run,). Steps beyond the last get the last one's rate."""
        super().__init__()
        self.rates = np.asarray(rates, np.float32)
        self._table = keras.ops.convert_to_tensor(self.rates)

    def __call__(self, step: Any) -> Any:
        last = len(self.rates) - 1
        return keras.ops.take(self._table, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}


def _is_convolution_kernel(weight: Any) -> bool:
    return weight.name == "kernel" and len(weight.shape) == 4


def _count(sums: Any, losses: Any, penalty: Any, logits: Any, shares: Any) -> None:
    hits = tf.equal(tf.argmax(logits, axis=-1), tf.argmax(shares, axis=-1))
    count = tf.cast(tf.shape(losses)[0], tf.float64)
    values = [
        tf.reduce_sum(tf.cast(losses, tf.float64)),
        tf.cast(penalty, tf.float64) * count,
        tf.reduce_sum(tf.cast(hits, tf.float64)),
        count,
    ]
    sums.assign_add(tf.stack(values))


def _means(sums: Any) -> Sums:
    loss, penalty, correct, count = (float(value) for value in sums.numpy())
    share = 1 / count if count else math.nan
    return Sums(count=int(count), loss=loss * share, accuracy=correct * share, penalty=penalty * share)


def _emptied(sums: Any) -> Sums:
    means = _means(sums)
    sums.assign(tf.zeros_like(sums))
    return means


@contextmanager
def _room_on_the_device() -> Iterator[None]:
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        hint = "Halve the batch size, or make the net narrower."
        raise OutOfMemory("the device has no memory left for a batch of this size", hint) from error
