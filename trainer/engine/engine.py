"""The engine: a Keras model with its optimizer, data and metrics on a device, and the programs that train it.

The same for every backend. Importing this imports Keras.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch, PerChannel
from trainer.augment.selections import Labels, Selection
from trainer.augment.tables import Columns
from trainer.engine.backend import Backend
from trainer.engine.images import DeviceImages
from trainer.engine.interface import HostBatch, ImageIndices, MeanMetrics, Split, StepMeasurement, TrainingBatch
from trainer.engine.model import Precision, build_model
from trainer.engine.state import collect_variables, evaluation_weights, load_state, save_state
from trainer.engine.sums import ZEROS, add_batch, compute_means, cross_entropy, new_sums
from trainer.engine.train_step import TrainStep
from trainer.engine.tta import average_views
from trainer.engine.weight_averages import WeightAverages
from trainer.models.architectures import build_layers
from trainer.recipe import Recipe

# Images in the batch that compiles a program for any batch size: TensorFlow never frees the memory of a larger one.
SMALL_BATCH = 8
MAX_STEPS_AHEAD = 2  # steps submitted but not finished: enough to keep the device busy, few enough to stop soon
IDENTITY = (np.ones(3, np.float32), np.zeros(3, np.float32))


class KerasEngine:
    """See `trainer.engine.interface.Engine`. One per process: it seeds Keras' global generators."""

    def __init__(
        self,
        backend: Backend,
        recipe: Recipe,
        classes: int,
        rates: NDArray[np.float32],
        whitening: NDArray[np.float32] | None = None,
        normal: tuple[PerChannel, PerChannel] = IDENTITY,
        precision: Precision = "float32",
    ) -> None:
        """`rates`: float32, one per step of the whole run. `whitening`: the kernel, if the model has one. `normal`:
        scale and shift from trainer.augment.normalisation. `precision`: of convolutions.
        """
        self.backend, self.classes, self._precision = backend, classes, precision
        keras.utils.set_random_seed(recipe.seed)
        made = build_layers(recipe.model, classes)
        self.model = build_model(
            made, recipe.model.init, whitening, seed=recipe.seed, precision=precision, norms=backend.norms
        )
        self.train_step = TrainStep(backend, self.model, recipe, classes, rates)
        self.averages = WeightAverages(self.model.weights, recipe.ema, len(rates)) if recipe.ema else None
        self._evaluated = new_sums("evaluation")
        others = {
            "decay": self.train_step.strength,
            "sums/training": self.train_step.sums,
            "sums/evaluation": self._evaluated,
        }
        self._named = collect_variables(self.model, self.train_step.optimizer, self.averages, others)
        backend.own_variables(list(self._named.values()))
        self._device_images, self._tta = DeviceImages(recipe, classes, *normal), recipe.tta
        self._smallest = getattr(recipe.model, "ghost_batch", None) or 1
        self._step = backend.make_program(self._train_on_host_batch, "step")
        self._step_on_device = backend.make_program(self._train_on_selection, "step on the device")
        self._images = backend.make_program(self._build_images, "images")
        self._evaluate = backend.make_program(self._validate, "evaluate")
        self._evaluate_views = backend.make_program(self._validate_views, "further views")
        self._rate = backend.make_program(lambda: self.train_step.optimizer.learning_rate, "rate")
        self._training: Any = None
        self._validation: Any = None
        self._tables: Any = {}
        # indices, logits and predicted classes of each batch of the current or latest evaluation
        self._latest: list[tuple[ImageIndices, Any, Any]] = []
        self._evaluating = False
        self._observed: Any = None  # of the latest step: label entropy, smallest and largest input
        self._in_flight: list[Any] = []

    def parameters(self) -> dict[str, int]:
        trainable = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
        total = self.model.count_params()
        return {"total": total, "trainable": trainable, "non_trainable": total - trainable}

    def device(self) -> str:
        return self.backend.device()

    def precision(self) -> str:
        return self._precision

    @property
    def traces(self) -> dict[str, int]:
        """See `Backend.traces`."""
        return self.backend.traces

    def load_splits(self, training: Split | None, validation: Split) -> None:
        self._training = self._to_device(training) if training else None
        self._validation = self._to_device(validation)

    def compile(self, batches: list[TrainingBatch], evaluations: list[ImageIndices]) -> None:
        """Run every program once per batch size, then restore every variable.

        If a program takes any size, one small batch is enough.
        """
        with self._rolled_back():
            for kind in (HostBatch, Selection):
                for batch in self._sizes([one for one in batches if isinstance(one, kind)]):
                    self.step(batch)
                    if isinstance(batch, Selection):
                        self.augmented_images(batch)
            sizes = {len(one): one for one in evaluations}
            for indices in (
                [evaluations[0][:SMALL_BATCH]] if self.backend.accepts_any_size and evaluations else sizes.values()
            ):
                self.evaluate(indices)
            if self._tta != "none":
                self.evaluate_with_tta()
            self.end_evaluation()
            self._rate()
        self.synchronize()

    def begin_epoch(self, tables: Columns) -> None:
        self._tables = {name: self.backend.to_device(column) for name, column in tables.items()}

    def step(self, batch: TrainingBatch) -> None:
        if isinstance(batch, HostBatch):
            self._observed = self._step(batch.images, _soft_labels(batch.labels, self.classes))
        else:
            self._observed = self._step_on_device(self._training, self._tables, _selection_arrays(batch))
        self._in_flight.append(self._observed)
        if len(self._in_flight) > MAX_STEPS_AHEAD:
            self.backend.fetch(self._in_flight.pop(0))

    def augmented_images(self, selection: Selection) -> Batch:
        return self.backend.fetch(self._images(self._training, self._tables, _selection_arrays(selection))[0])

    def measure_step(self, batch: TrainingBatch, step: int, moving_step: int) -> StepMeasurement:
        """See the interface. With zero momenta, a step moves a weight by the rate times its gradient (times
        1 + momentum with Nesterov): the gradient is computed from that move, and decay as the difference of two moves.
        """
        train_step, backend = self.train_step, self.backend
        iterations = train_step.optimizer.iterations
        with self._rolled_back():
            backend.write_variable(iterations, np.asarray(step, iterations.dtype))
            rate = float(backend.fetch(self._rate()))
        watched = train_step.decayed if train_step.decay.value else train_step.trained
        moved = []  # float32 like the weights: their differences are small, and two copies of a model are enough memory
        for strength in (0.0, train_step.decay.value):
            with self._rolled_back():
                for momentum in train_step.optimizer.momentums:
                    backend.write_variable(momentum, np.zeros(momentum.shape, np.float32))
                backend.write_variable(iterations, np.asarray(moving_step, iterations.dtype))
                fastest = float(backend.fetch(self._rate()))
                unit = fastest * (1 + train_step.knobs.momentum * train_step.knobs.nesterov)
                backend.write_variable(train_step.strength, np.asarray(strength, np.float32))
                before = [backend.read_variable(weight) for weight in watched]
                self.step(batch)
                moved.append([backend.read_variable(weight) - old for weight, old in zip(watched, before, strict=True)])
        scale = 1 / unit if unit else 0.0
        entropy, low, high = (float(value) for value in backend.fetch(self._observed))
        return StepMeasurement(
            learning_rate=rate,
            label_entropy=entropy,
            input_low=low,
            input_high=high,
            gradient_norm=scale * _norm(moved[0]),
            decay_norm=scale * _norm(with_it - without for without, with_it in zip(*moved, strict=True)),
            weight_norm=_norm(before),
        )

    def training_metrics(self) -> MeanMetrics:
        return compute_means(self.backend.read_variable(self.train_step.sums))

    def end_epoch(self) -> MeanMetrics:
        return self._pop_metrics(self.train_step.sums)

    def evaluate(self, indices: ImageIndices) -> None:
        if not self._evaluating:
            self._latest, self._evaluating = [], True
        self._latest.append((indices, *self._evaluate(self._validation, indices)))

    def end_evaluation(self) -> MeanMetrics:
        self._evaluating = False
        return self._pop_metrics(self._evaluated)

    def evaluate_with_tta(self) -> MeanMetrics:
        kept = self.backend.read_variable(self._evaluated)
        self.backend.write_variable(self._evaluated, ZEROS)
        for indices, logits, _ in self._latest:
            self._evaluate_views(self._validation, indices, logits)
        metrics = self._pop_metrics(self._evaluated)
        self.backend.write_variable(self._evaluated, kept)
        return metrics

    def predictions(self) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        logits = np.concatenate([self.backend.fetch(one) for _, one, _ in self._latest]).astype(np.float32)
        classes = np.concatenate([self.backend.fetch(one) for *_, one in self._latest]).astype(np.uint16)
        total = np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)  # the predicted class adds exp(0)
        return classes, (1 / total).astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        return save_state(self.backend, self._named)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        load_state(self.backend, self._named, state)

    def weights(self) -> dict[str, NDArray[Any]]:
        return evaluation_weights(self.backend, self._named, self.averages)

    def synchronize(self) -> None:
        # Reading a variable that every step writes waits for all of them.
        self._in_flight.clear()
        self.backend.read_variable(self.train_step.sums)
        self.backend.read_variable(self._evaluated)

    def _train_on_host_batch(self, images: Any, shares: Any) -> Any:
        observed = self.train_step.step(images, shares)
        if self.averages:
            self.averages.update()
        return observed

    def _train_on_selection(self, split: Any, tables: Any, indices: Any) -> Any:
        return self._train_on_host_batch(*self.backend.materialize(self._build_images(split, tables, indices)))

    def _build_images(self, split: Any, tables: Any, indices: Any) -> Any:
        return self._device_images.training_batch(split, tables, indices)

    def _validate(self, split: Any, indices: Any) -> Any:
        images, shares = self._device_images.validation_batch(split, indices)
        logits = self._compute_logits(images)
        add_batch(self._evaluated, cross_entropy(logits, shares), 0.0, logits, shares)
        return logits, ops.cast(ops.argmax(logits, axis=-1), "int32")

    def _validate_views(self, split: Any, indices: Any, without_tta: Any) -> Any:
        images, shares = self._device_images.validation_batch(split, indices)
        logits = average_views(self._tta, self._compute_logits, images, without_tta)
        add_batch(self._evaluated, cross_entropy(logits, shares), 0.0, logits, shares)
        return ops.cast(ops.argmax(logits, axis=-1), "int32")

    def _compute_logits(self, images: Any) -> Any:
        if self.averages is None:
            return self.model(images, training=False)
        with self.averages.swapped_in():
            return self.model(images, training=False)

    def _to_device(self, split: Split) -> tuple[Any, Any]:
        return self.backend.to_device(split.images), self.backend.to_device(split.labels.astype(np.int32))

    def _sizes(self, batches: Sequence[TrainingBatch]) -> list[Any]:
        """One batch of each size, or one small batch if programs take any size."""
        if not batches or not self.backend.accepts_any_size:
            return list({len(batch): batch for batch in batches}.values())
        size = min(len(batches[0]), SMALL_BATCH) if self._smallest == 1 else self._smallest
        first = batches[0]
        small = (
            first.part(0, size) if isinstance(first, Selection) else HostBatch(first.images[:size], first.labels[:size])
        )
        return [small]

    def _pop_metrics(self, sums: Any) -> MeanMetrics:
        metrics = compute_means(self.backend.read_variable(sums))
        self.backend.write_variable(sums, ZEROS)
        return metrics

    @contextmanager
    def _rolled_back(self) -> Iterator[None]:
        """On exit, every variable gets its old value back."""
        kept = self.state()
        try:
            yield
        finally:
            for name, variable in self._named.items():
                self.backend.write_variable(variable, kept[name])


def _soft_labels(labels: Labels, classes: int) -> NDArray[np.float32]:
    """(b, classes)."""
    if labels.ndim == 2:
        return labels.astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels]


def _selection_arrays(selection: Selection) -> dict[str, NDArray[Any]]:
    own = selection.pictures.astype(np.int32)
    if selection.partners is None or selection.shares is None:
        return {"own": own}
    return {"own": own, "other": selection.partners.astype(np.int32), "share": selection.shares.astype(np.float32)}


def _norm(parts: Iterable[NDArray[Any]]) -> float:
    return math.sqrt(sum(float(np.square(part, dtype=np.float64).sum()) for part in parts))
