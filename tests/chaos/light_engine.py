"""An engine without a framework: softmax regression on pictures made small, by SGD with momentum, in NumPy.

Only the arithmetic is lighter than the real one: it has weights, momenta, a step counter, a random state (dropout on
the inputs) and sums on the "device", all of which a checkpoint must bring back bit by bit. A step takes as many
milliseconds as the recipe's net is wide, asleep, so that there is a mid-run to be killed in. Some seeds play a part.
Must not know files, events or processes other than its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch, normalise
from trainer.augment.selections import Labels, Selection
from trainer.augment.tables import Columns
from trainer.engine.interface import HostBatch, ImageIndices, MeanMetrics, Split, StepMeasurement, TrainingBatch
from trainer.failures import CannotTrain
from trainer.loop.batches import Normal
from trainer.recipe import Recipe

POISON = 660_001  # kills itself as soon as it is made
DEAF = 660_002  # does not hear SIGTERM
HUNGRY = 660_003  # takes more memory with each step
MEAL = 32 * 2**20  # bytes

INPUTS, DROPPED = 8 * 8 + 1, 0.2
Arrays = dict[str, NDArray[Any]]


class LightEngine:
    """See trainer.engine.interface.Engine."""

    def __init__(self, recipe: Recipe, classes: int, learning_rates: NDArray[np.float32], normal: Normal) -> None:
        if recipe.seed == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        if recipe.seed == DEAF:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._recipe, self._classes, self._rates, self._normal = recipe, classes, learning_rates, normal
        self._step_s = recipe.model.width / 1000
        first = np.random.default_rng([recipe.seed, 1]).normal(0, 0.01, (INPUTS, classes))
        self._state: Arrays = {
            "net/kernel": first.astype(np.float32),
            "optimizer/momentum": np.zeros((INPUTS, classes), np.float32),
            "optimizer/steps": np.zeros(1, np.int64),
            "net/dropout": np.array([recipe.seed, 0], np.int64),  # as Keras has it: a seed and a counter
            "sums/training": np.zeros(4),
            "sums/evaluation": np.zeros(4),
        }
        self._predicted: list[NDArray[np.float64]] = []
        self._latest: list[NDArray[np.float64]] = []  # of the evaluation that has ended
        self._meals: list[NDArray[np.uint8]] = []

    def parameters(self) -> dict[str, int]:
        size = INPUTS * self._classes
        return {"total": size, "trainable": size, "non_trainable": 0}

    def device(self) -> str:
        return "cpu"

    def precision(self) -> str:
        return "float32"

    def load_splits(self, training: Split | None, validation: Split) -> None:
        assert training is None, "pictures are changed on the host here"
        self._validation = validation

    def compile(self, batches: list[TrainingBatch], evaluations: list[ImageIndices]) -> None:
        pass

    def begin_epoch(self, tables: Columns) -> None:
        raise NotImplementedError

    def augmented_images(self, selection: Selection) -> Batch:
        raise NotImplementedError

    def evaluate_with_tta(self) -> MeanMetrics:
        raise NotImplementedError

    def step(self, batch: TrainingBatch) -> None:
        assert isinstance(batch, HostBatch)
        time.sleep(self._step_s)
        if self._state["net/dropout"][0] == HUNGRY:
            self._meals.append(np.ones(MEAL, np.uint8))
        rate = float(self._rates[int(self._state["optimizer/steps"][0])])
        self._move(batch.images, batch.labels, rate)
        self._state["optimizer/steps"] = self._state["optimizer/steps"] + 1

    def measure_step(self, batch: TrainingBatch, step: int, moving_step: int) -> StepMeasurement:
        assert isinstance(batch, HostBatch)
        kept = self.state()
        weights = kept["net/kernel"].astype(np.float64)
        rate = float(self._rates[moving_step])
        self._state["optimizer/momentum"] = np.zeros_like(kept["optimizer/momentum"])
        self._move(batch.images, batch.labels, rate)
        moved = self._state["net/kernel"].astype(np.float64) - weights
        self._state = kept
        strength = self._recipe.optimizer.weight_decay.value
        return StepMeasurement(
            learning_rate=float(self._rates[step]),
            label_entropy=0.0,
            input_low=float(batch.images.min()),
            input_high=float(batch.images.max()),
            gradient_norm=float(np.linalg.norm(moved)) / rate if rate else 0.0,
            decay_norm=2 * strength * float(np.linalg.norm(weights)),
            weight_norm=float(np.linalg.norm(weights)),
        )

    def training_metrics(self) -> MeanMetrics:
        return _means(self._state["sums/training"])

    def end_epoch(self) -> MeanMetrics:
        sums = self.training_metrics()
        self._state["sums/training"] = np.zeros(4)
        return sums

    def evaluate(self, indices: ImageIndices) -> None:
        images = normalise(self._validation.images[indices], *self._normal)
        shares = _soft(_inputs(images) @ self._state["net/kernel"])
        self._count("sums/evaluation", shares, self._targets(self._validation.labels[indices]), 0.0)
        self._predicted.append(shares)

    def end_evaluation(self) -> MeanMetrics:
        sums = _means(self._state["sums/evaluation"])
        self._state["sums/evaluation"] = np.zeros(4)
        self._latest, self._predicted = self._predicted, []
        return sums

    def predictions(self) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        shares = np.concatenate(self._latest)
        return shares.argmax(axis=1).astype(np.uint16), shares.max(axis=1).astype(np.float32)

    def state(self) -> Arrays:
        return {name: array.copy() for name, array in self._state.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if {k: (v.shape, v.dtype) for k, v in state.items()} != {k: (v.shape, v.dtype) for k, v in self._state.items()}:
            raise CannotTrain("the checkpoint is of another model")
        self._state = {name: array.copy() for name, array in state.items()}

    def weights(self) -> Arrays:
        return {"net/kernel": self._state["net/kernel"].copy()}

    def synchronize(self) -> None:
        pass

    def _move(self, images: Batch, labels: Labels, rate: float) -> None:
        state, knobs = self._state, self._recipe.optimizer
        random = np.random.default_rng(state["net/dropout"])
        state["net/dropout"] = state["net/dropout"] + [0, 1]
        inputs = _inputs(images)
        inputs *= random.random(inputs.shape) >= DROPPED
        targets = self._targets(labels)
        with np.errstate(all="ignore"):  # no warnings from a diverging model
            shares = _soft(inputs @ state["net/kernel"])
            strength = knobs.weight_decay.value
            gradient = inputs.T @ (shares - targets) / len(inputs) + 2 * strength * state["net/kernel"]
            momentum = knobs.momentum * state["optimizer/momentum"] - rate * gradient
            state["optimizer/momentum"] = momentum.astype(np.float32)
            penalty = strength * float((state["net/kernel"].astype(np.float64) ** 2).sum())
            state["net/kernel"] = state["net/kernel"] + state["optimizer/momentum"]
            self._count("sums/training", shares, targets, penalty)

    def _targets(self, labels: Labels) -> NDArray[np.float64]:
        return np.eye(self._classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)

    def _count(self, name: str, shares: NDArray[Any], targets: NDArray[Any], penalty: float) -> None:
        losses = -(targets * np.log(np.maximum(shares, 1e-12))).sum()
        right = (shares.argmax(axis=1) == targets.argmax(axis=1)).sum()
        self._state[name] = self._state[name] + [len(shares), losses, right, penalty * len(shares)]


def _inputs(images: Batch) -> NDArray[np.float64]:
    """(b, 65): the image as 8x8 means, and a one."""
    small = images.reshape(len(images), 8, images.shape[1] // 8, 8, -1).mean(axis=(2, 4), dtype=np.float64)
    return np.hstack([small.reshape(len(images), -1), np.ones((len(images), 1))])


def _soft(logits: NDArray[Any]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _means(sums: NDArray[Any]) -> MeanMetrics:
    count, loss, right, penalty = int(sums[0]), float(sums[1]), int(sums[2]), float(sums[3])
    if not count:
        return MeanMetrics(0, *[float("nan")] * 3)
    return MeanMetrics(count, loss / count, right / count, penalty / count)
