"""The epochs at which a run improved on its best accuracy: enough to find when it first reached any target.

Stored packed in the row of each run, so that a board over many thousands of runs reads no epochs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from app.metrics import accuracy
from app.records.models import Epoch

# At the end of the epoch: seconds on the training clock, Wh used by the device so far (NaN: not measured), share.
ROW = np.dtype([("epoch", "<f4"), ("elapsed", "<f8"), ("energy", "<f4"), ("accuracy", "<f8")])


def append_milestone(packed: bytes, epoch: int, elapsed: float, energy: float | None, accuracy: float | None) -> bytes:
    """`packed` with one more epoch, if it improves on all before; `elapsed` and `energy` are totals so far."""
    if accuracy is None or (packed and accuracy <= unpack_milestones(packed)["accuracy"][-1]):
        return packed
    return packed + np.array((epoch, elapsed, math.nan if energy is None else energy, accuracy), ROW).tobytes()


def pack_milestones(epochs: Sequence[Epoch]) -> bytes:
    """The milestones of a whole curve."""
    packed, elapsed = b"", 0.0
    for epoch, energy in zip(epochs, accumulate((epoch.energy_wh for epoch in epochs), add_energy), strict=True):
        elapsed += epoch.seconds
        packed = append_milestone(packed, epoch.epoch, elapsed, energy, accuracy.ranking_accuracy(epoch))
    return packed


def add_energy(so_far: float | None, more: float | None) -> float | None:
    """Wh. The sum is None (not known) as soon as one epoch was not measured."""
    return None if so_far is None or more is None else so_far + more


def unpack_milestones(packed: bytes) -> NDArray[np.void]:
    """(n,) of ROW, accuracies ascending."""
    return np.frombuffer(packed, ROW)


def find_first_at(target: float, packed: Sequence[bytes]) -> NDArray[np.void]:
    """(runs,) of ROW: the first epoch at or above the target; every field NaN if there is none.

    Source: DAWNBench's rule (first epoch whose top-1 accuracy is at or above 94 %).
    """
    found = np.full(len(packed), np.nan, ROW)
    sizes = np.array([len(one) // ROW.itemsize for one in packed], np.int64)
    every, run = unpack_milestones(b"".join(packed)), np.repeat(np.arange(len(packed)), sizes)
    at = np.flatnonzero(every["accuracy"] >= target)
    which, first = np.unique(run[at], return_index=True)
    found[which] = every[at[first]]
    return found
