"""The interface between the training loop and an engine: a model, its optimizer, data and metrics on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch, Images
from trainer.augment.selections import Labels, Selection
from trainer.augment.tables import Columns


@dataclass(frozen=True)
class HostBatch:
    """A training batch prepared on the host."""

    images: Batch  # float32 (b, side, side, 3), in the recipe's range
    labels: Labels  # int64 (b,), or soft labels float32 (b, classes)

    def __len__(self) -> int:
        return len(self.images)


# A Selection picks images that are on the device, which augments them with the epoch's tables.
TrainingBatch = HostBatch | Selection
ImageIndices = NDArray[np.int32]  # (b,), into the validation split


@dataclass(frozen=True)
class Split:
    """The images of a data set's split, and their classes."""

    images: Images  # uint8 (n, side, side, 3)
    labels: NDArray[np.int64]  # (n,)


@dataclass(frozen=True)
class MeanMetrics:
    """Means over the images seen since the sums were last reset; NaN when there were none."""

    count: int
    loss: float  # categorical cross-entropy, natural logarithm
    accuracy: float  # 0..1, argmax of the logits against argmax of the label
    penalty: float  # what l2 weight decay adds to the loss; 0 for the other kinds


@dataclass(frozen=True)
class StepMeasurement:
    """What one step did, in units of a gradient; measured, with nothing taken from the recipe."""

    learning_rate: float  # as the optimizer reads it at that step
    label_entropy: float  # nats, mean over the images, of the labels that the loss uses
    input_low: float  # smallest and largest value of the model's input
    input_high: float
    gradient_norm: float  # of the loss, over the weights that decay (over all weights if none does)
    decay_norm: float  # over the same weights: what weight decay adds to the gradient
    weight_norm: float  # over the same weights


class Engine(Protocol):
    """One model in training. All calls but `step`, `evaluate`, `evaluate_with_tta` and `begin_epoch` wait for the
    device.

    Raises the framework's own errors; see faults.py.
    """

    def parameters(self) -> dict[str, int]:
        """Number of weights: total, trainable, non_trainable."""

    def device(self) -> str:
        """`cpu`, or the accelerator's name."""

    def precision(self) -> str:
        """`float32` or `bfloat16`: the dtype in which convolutions compute."""

    def load_splits(self, training: Split | None, validation: Split) -> None:
        """Copy the validation split to the device, and the training split if the device augments."""

    def compile(self, batches: list[TrainingBatch], evaluations: list[ImageIndices]) -> None:
        """Compile the programs for batches of these sizes, without changing weights or metrics."""

    def begin_epoch(self, tables: Columns) -> None:
        """Set the augmentation parameters of each training image on the device for this epoch."""

    def step(self, batch: TrainingBatch) -> None:
        """Take one optimizer step, which may still be running on return."""

    def augmented_images(self, selection: Selection) -> Batch:
        """The augmented images of a selection, as the device's program builds them."""

    def measure_step(self, batch: TrainingBatch, step: int, moving_step: int) -> StepMeasurement:
        """Take step `step` (from 0) on this batch with and without weight decay, measure it, and undo it.

        Norms are measured at the learning rate of `moving_step`: at a rate of 0 nothing moves.
        """

    def training_metrics(self) -> MeanMetrics:
        """Training metrics so far; waits for the device."""

    def end_epoch(self) -> MeanMetrics:
        """Return the training metrics and reset them."""

    def evaluate(self, indices: ImageIndices) -> None:
        """Add validation images to the evaluation metrics, with equal weight per image."""

    def end_evaluation(self) -> MeanMetrics:
        """Return the evaluation metrics and reset them."""

    def evaluate_with_tta(self) -> MeanMetrics:
        """Metrics of the latest evaluation's images with the recipe's test-time augmentation."""

    def predictions(self) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Predicted class (n,) and its softmax probability (n,), 0..1, of each image of the latest evaluation, in the
        order of the calls. Without TTA."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that training changes, by name: weights, momenta, counters, averages, sums."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Load what `state` returned, exactly; call after compile(). Raises CannotTrain if it is of another model."""

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copies of the weights and statistics that an evaluation uses, by layer: `Conv1/kernel`."""

    def synchronize(self) -> None:
        """Return when the device has finished all submitted work."""
