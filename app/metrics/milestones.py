"""The epochs at which a run was better than ever before: enough to say when it first reached any target.

Kept packed beside each run, so that a board over many thousands of runs asks no epoch. Must not know the database.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from app.metrics import accuracy
from app.records.models import Epoch

# At the epoch's end: seconds of the training clock and Wh of the device so far (not-a-number: not measured), share.
ROW = np.dtype([("epoch", "<f4"), ("elapsed", "<f8"), ("energy", "<f4"), ("accuracy", "<f8")])


def grown(packed: bytes, epoch: int, elapsed: float, energy: float | None, accuracy: float | None) -> bytes:
    """With one more epoch."""
    if accuracy is None or (packed and accuracy <= rows(packed)["accuracy"][-1]):
        return packed
    return packed + np.array((epoch, elapsed, math.nan if energy is None else energy, accuracy), ROW).tobytes()


def pack_milestones(shown: Sequence[Epoch]) -> bytes:
    """Of a whole curve."""
    packed, elapsed = b"", 0.0
    for row, energy in zip(shown, accumulate((row.energy_wh for row in shown), added), strict=True):
        elapsed += row.seconds
        packed = grown(packed, row.epoch, elapsed, energy, accuracy.ranking_accuracy(row))
    return packed


def added(so_far: float | None, more: float | None) -> float | None:
    """Wh; with an epoch that nobody measured the sum is not known any more."""
    return None if so_far is None or more is None else so_far + more


def rows(packed: bytes) -> NDArray[np.void]:
    """As an array of ROW, accuracies rising."""
    return np.frombuffer(packed, ROW)


def first_at(target: float, packed: Sequence[bytes]) -> NDArray[np.void]:
    """One ROW per run: the first epoch at or above the target; all not-a-number where there is none.

    Source: DAWNBench's rule (first epoch whose top-1 accuracy is at or above 94 %).
    """
    found = np.full(len(packed), np.nan, ROW)
    sizes = np.array([len(one) // ROW.itemsize for one in packed], np.int64)
    every, run = rows(b"".join(packed)), np.repeat(np.arange(len(packed)), sizes)
    at = np.flatnonzero(every["accuracy"] >= target)
    which, first = np.unique(run[at], return_index=True)
    found[which] = every[at[first]]
    return found
