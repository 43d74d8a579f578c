"""Asserts that samples have a distribution, each wrong once in a thousand seeds (and seeds are fixed)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def chi_square(counts: NDArray[Any]) -> None:
    """All cells are equally likely. The bound is Wilson and Hilferty's approximation of the 99.9 % point."""
    expected, freedom = counts.sum() / counts.size, counts.size - 1
    assert expected >= 5, "too few samples for the test to say anything"
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.09 * np.sqrt(2 / (9 * freedom))) ** 3


def kolmogorov_smirnov(a: NDArray[Any], b: NDArray[Any]) -> None:
    """Two samples come from one distribution: the 99.9 % point of the largest difference between their shares."""
    values = np.sort(np.concatenate([a, b]))
    first, second = (np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (a, b))
    assert np.abs(first - second).max() < 1.95 * np.sqrt(1 / len(a) + 1 / len(b))
