"""Means over an epoch, from sums as they come from the device."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("tensorflow")]


def accuracy(right: int, count: int) -> float:
    from trainer.engine.sums import compute_means

    return compute_means(np.array([1.5 * count, 0.0, right, count])).accuracy


def test_99_of_110_reach_a_target_of_0_9():
    assert accuracy(99, 110) >= 0.9


def test_the_accuracy_is_the_quotient_of_the_counts_for_every_number_of_images():
    counts = [*range(1, 301), 330, 500, 1_000, 1_797, 2_000]
    assert [accuracy(right, count) for count in counts for right in range(count + 1)] == [
        right / count for count in counts for right in range(count + 1)
    ]
    whole = [(right, count) for count in (10_000, 50_000) for right in range(0, count + 1, 7)]
    assert [accuracy(*one) for one in whole] == [right / count for right, count in whole]


def test_without_images_nothing_is_known():
    assert math.isnan(accuracy(0, 0))
