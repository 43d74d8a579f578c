"""What a backend's engine offers to train.py: a net, its optimiser, its data and its sums, all living on the device.

Must not know any ML framework, events, clocks or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch, Pictures
from trainer.augment.selections import Labels, Selection
from trainer.augment.tables import Tables


@dataclass(frozen=True)
class HostBatch:
    """A batch that the host has prepared."""

    images: Batch  # float32 (b, side, side, 3), in the recipe's range
    labels: Labels  # int64 (b,), or float32 (b, classes) shares

    def __len__(self) -> int:
        return len(self.images)


TrainingBatch = (
    HostBatch | Selection
)  # a Selection: of the pictures on the device, which its program changes as the tables say
ImageIndices = NDArray[np.int32]  # (b,): numbers of validation pictures


@dataclass(frozen=True)
class Split:
    """Pictures and their classes, as a data set has them."""

    images: Pictures  # uint8 (n, side, side, 3)
    labels: NDArray[np.int64]  # (n,)


@dataclass(frozen=True)
class MeanMetrics:
    """Means over the pictures seen since the sums were last emptied; not-a-number when there were none."""

    count: int
    loss: float  # categorical cross-entropy, natural logarithm
    accuracy: float  # share, argmax of the net against argmax of the label
    penalty: float  # what l2 weight decay adds to the loss; 0 for the other kinds


@dataclass(frozen=True)
class StepMeasurement:
    """What one step really did, in the units of a gradient; nothing of it is taken from the recipe."""

    learning_rate: float  # as the optimiser reads it at that step
    label_entropy: float  # nats, mean over the pictures, of the labels that the loss compares with
    input_low: float  # smallest and largest value that the net was given
    input_high: float
    gradient_norm: float  # of the weights that decay (of all, where none does): what the data asks for
    decay_norm: float  # of the same weights: what weight decay adds to it
    weight_norm: float  # of the same weights


class Engine(Protocol):
    """One net in training. Every call but `step`, `evaluate`, `look_again` and `begin_epoch` waits for the device.

    Errors are the framework's own; faults.py names them.
    """

    def parameters(self) -> dict[str, int]:
        """Number of weights: total, trainable, non_trainable."""

    def device(self) -> str:
        """`cpu`, or the accelerator's name."""

    def precision(self) -> str:
        """`float32` or `bfloat16`: what convolutions really compute in."""

    def load_splits(self, training: Split | None, validation: Split) -> None:
        """Bring pictures to the device: to validate on, and to train on where the device changes them."""

    def compile(self, batches: list[TrainingBatch], evaluations: list[ImageIndices]) -> None:
        """Build the programs for batches of these sizes; nothing learned, nothing counted."""

    def begin_epoch(self, tables: Tables) -> None:
        """What is drawn for each picture on the device, from now on."""

    def step(self, batch: TrainingBatch) -> None:
        """One optimiser step on one batch, perhaps still under way on return."""

    def augmented_images(self, selection: Selection) -> Batch:
        """What the device's program makes of these pictures."""

    def measure_step(self, batch: TrainingBatch, step: int, moving_step: int) -> StepMeasurement:
        """Do step number `step` (from 0) on this batch with and without weight decay, look, and undo it.

        `moving_step` lends its learning rate to the measurement of norms: at a rate of 0 nothing moves.
        """

    def training_metrics(self) -> MeanMetrics:
        """Training sums so far; costs a wait for the device."""

    def end_epoch(self) -> MeanMetrics:
        """The same, then empties them."""

    def evaluate(self, places: ImageIndices) -> None:
        """Add validation pictures to the evaluation sums, each counting the same."""

    def end_evaluation(self) -> MeanMetrics:
        """The evaluation sums, then empties them."""

    def evaluate_with_tta(self) -> MeanMetrics:
        """The latest evaluation's pictures once more, with the recipe's further views averaged in."""

    def predictions(self) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Of each picture of the latest evaluation, in the order of the calls: (n,) the class that the net took it for,
        and (n,) the probability (0..1) that it gave to that, by a softmax. Without further views."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that changes while training, by name: weights, momenta, counters, averages, sums."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Be exactly as the engine was whose state this is; after compile(). Raises CannotTrain where it is no such."""

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copies of the weights and statistics that an evaluation uses, by layer: `Conv1/kernel`."""

    def synchronize(self) -> None:
        """Return when the device has finished all that it was given."""
