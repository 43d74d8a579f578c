"""What makes a finished run's result worthless, and the ordinary curves that do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from app.metrics.concerns import find_concern, is_at_chance, is_best_early
from tests.app.support.cast import epoch, events
from trainer.events import EpochEnded


def curve(
    accuracies: Sequence[float], val_loss: Sequence[float | None] = (), train_loss: Sequence[float | None] = ()
) -> list[EpochEnded]:
    """An epoch for each accuracy; losses fall unless they are given."""
    rows: list[dict[str, Any]] = []
    for number, accuracy in enumerate(accuracies, 1):
        losses: dict[str, Any] = {"val_loss": val_loss[number - 1]} if val_loss else {}
        losses |= {"train_loss": train_loss[number - 1]} if train_loss else {}
        rows.append(epoch(number, accuracy, **losses))
    return [one for one in events(*rows) if isinstance(one, EpochEnded)]


def rising(epochs: int, end: float = 0.93) -> list[float]:
    return [end * (1 - math.exp(-2 - 3 * number / epochs)) for number in range(1, epochs + 1)]


# at chance


def test_a_run_that_ends_at_nine_percent_of_ten_classes_is_at_chance():
    assert find_concern(curve([0.11, 0.0938]), 10_000, 10) == "at_chance"
    assert find_concern(curve([0.8, 0.1]), 300, 10) == "at_chance"  # whatever its best was


def test_a_run_is_at_chance_as_long_as_an_exact_test_cannot_tell_it_from_guessing():
    """The largest k of 300 images with P(X >= k) above 5 % is 38."""
    assert stats.binomtest(38, 300, 0.1, alternative="greater").pvalue > 0.05
    assert stats.binomtest(40, 300, 0.1, alternative="greater").pvalue < 0.05
    assert is_at_chance(38 / 300, 300, 10) and not is_at_chance(40 / 300, 300, 10)


@pytest.mark.parametrize(("right", "images", "classes"), [(2, 2, 2), (3, 6, 2), (1, 1, 10), (5, 6, 2)])
def test_a_few_images_are_no_evidence(right: int, images: int, classes: int):
    assert not is_at_chance(right / images, images, classes)


def test_guessing_is_found_in_nine_runs_of_ten():
    generator = np.random.default_rng(0)
    for images, classes in ((50, 2), (300, 10), (10_000, 10), (10_000, 100)):
        guessed = generator.binomial(images, 1 / classes, 500) / images
        assert np.mean([is_at_chance(float(share), images, classes) for share in guessed]) > 0.9


def test_a_run_that_predicts_one_class_guesses_however_frequent_that_class_is():
    assert find_concern(curve([0.7, 0.7]), 10_000, 2, predicts_one_class=True) == "at_chance"
    assert find_concern(curve([0.7, 0.7]), 10_000, 2) is None


@pytest.mark.parametrize(("images", "classes"), [(None, 10), (300, None), (300, 1), (0, 10)])
def test_nothing_is_said_of_a_run_whose_images_or_classes_are_not_known(images: int | None, classes: int | None):
    assert find_concern(curve([0.1, 0.1]), images, classes) is None
    assert find_concern([], 300, 10) is None


# the loss ran away


def test_a_loss_that_ends_far_above_its_lowest_and_above_guessing_ran_away():
    accuracies = rising(8)
    away = [0.6, 0.5, 0.5, 0.5, 0.7, 2.0, 5.0, 9.0]
    assert find_concern(curve(accuracies, val_loss=away), 10_000, 10) == "loss_ran_away"
    assert find_concern(curve(accuracies, train_loss=away), 10_000, 10) == "loss_ran_away"


def test_a_loss_that_is_no_number_at_the_end_ran_away():
    assert find_concern(curve([0.5, 0.6], val_loss=[1.0, None]), 300, 10) == "loss_ran_away"
    assert find_concern(curve([0.5, 0.6], val_loss=[None, 1.0]), 300, 10) is None


@pytest.mark.parametrize(
    "losses",
    [
        [0.9, 0.5, 0.4, 0.45, 0.6, 0.9, 1.4, 1.9],  # overfits: confident mistakes
        [2.2, 2.1, 2.0, 1.9, 1.9, 1.8, 1.8, 1.8],  # label smoothing, mixup
        [0.001, 0.001, 0.001, 0.002, 0.01, 0.02, 0.02, 0.1],  # a hundred times almost nothing
        [900.0, 40.0, 9.0, 7.5, 7.2, 7.1, 7.1, 7.0],  # started high
    ],
)
def test_overfitting_and_smoothed_labels_are_no_runaway(losses: list[float]):
    assert find_concern(curve(rising(8), val_loss=losses, train_loss=losses), 10_000, 10) is None


# the best epoch lies long before the end


def test_a_run_that_collapsed_or_declined_after_its_best_epoch_is_marked():
    collapsed = [*rising(14), *[0.5] * 6]
    declined = [0.6, 0.8, 0.9, *(0.9 - 0.02 * step for step in range(1, 13))]
    assert find_concern(curve(collapsed), 300, 10) == "best_early"
    assert find_concern(curve(declined), 10_000, 10) == "best_early"


def test_a_bad_last_epoch_alone_is_no_concern():
    assert find_concern(curve([*rising(19), 0.5]), 10_000, 10) is None


def test_two_or_three_epochs_have_no_long_before():
    assert find_concern(curve([0.9, 0.6, 0.6]), 10_000, 10) is None


@pytest.mark.parametrize("images", [300, 10_000])
@pytest.mark.parametrize("jitter", [0.0, 0.003, 0.02])
@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_ordinary_plateaus_are_rarely_marked(images: int, jitter: float, memory: float):
    """Curves that rise and then stay, with noise of their images, jitter from epoch to epoch (a deviation, as a share;
    `memory`: its correlation with that of the epoch before) and a deep dip in one epoch of ten."""
    generator, marked = np.random.default_rng(0), []
    for epochs in (6, 10, 20, 60):
        number = np.arange(1, epochs + 1)
        noise = generator.normal(0, jitter, (100, epochs))
        for at in range(1, epochs):
            noise[:, at] = memory * noise[:, at - 1] + math.sqrt(1 - memory**2) * noise[:, at]
        dips = (generator.random(noise.shape) < 0.1) * generator.exponential(2 * jitter, noise.shape)
        true = 0.9 * (1 - np.exp(-number / (1 + epochs / 8))) + noise - dips
        shares = generator.binomial(images, true.clip(0, 1)) / images
        marked += [is_best_early(list(zip(number.tolist(), row.tolist(), strict=True)), images) for row in shares]
    assert np.mean(marked) <= 0.01
