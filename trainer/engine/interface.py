"""What a backend's engine offers to train.py: a net, its optimiser and its sums, all living on the device.

Must not know any ML framework, events, clocks or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]  # (b, side, side, 3), in the recipe's range
from trainer.augment.selections import Labels


@dataclass(frozen=True)
class Sums:
    """Means over the pictures seen since the sums were last emptied; not-a-number when there were none."""

    count: int
    loss: float  # categorical cross-entropy, natural logarithm
    accuracy: float  # share, argmax of the net against argmax of the label
    penalty: float  # what l2 weight decay adds to the loss; 0 for the other kinds


class Engine(Protocol):
    """One net in training. Every call but `step` waits for the device."""

    def parameters(self) -> dict[str, int]:
        """Number of weights: total, trainable, non_trainable."""

    def device(self) -> str:
        """`cpu`, or the accelerator's name."""

    def compile(self, batch_sizes: list[int], evaluation_sizes: list[int]) -> None:
        """Build the programs for these numbers of pictures; nothing learned, nothing counted."""

    def step(self, images: Images, labels: Labels) -> None:
        """One optimiser step on one batch, perhaps still under way on return. Raises OutOfMemory."""

    def progress(self) -> Sums:
        """Training sums so far; costs a wait for the device."""

    def epoch_end(self) -> Sums:
        """The same, then empties them."""

    def evaluate(self, images: Images, labels: Labels) -> None:
        """Add one batch to the evaluation sums, each picture counting the same. Raises OutOfMemory."""

    def evaluation_end(self) -> Sums:
        """The evaluation sums, then empties them."""

    def synchronize(self) -> None:
        """Return when the device has finished all that it was given."""
