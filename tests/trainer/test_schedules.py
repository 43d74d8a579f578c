"""Learning rates against loops written from the papers, not from our code."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.presets import PRESETS
from trainer.recipe import Constant, Recipe, Triangular
from trainer.schedules import constant, learning_rates, steps_per_epoch, triangular


def kenstler(iteration: int, base: float, peak: float, step_size: float) -> float:
    """One number at a time, as the CLR callback's documentation writes it."""
    cycle = math.floor(1 + iteration / (2 * step_size))
    x = abs(iteration / step_size - 2 * cycle + 1)
    return base + (peak - base) * max(0, (1 - x))


@pytest.mark.parametrize("step_size", [1, 2, 7, 390.625, 46.78125, 0.3])
def test_triangular_is_kenstlers_formula_at_every_step(step_size: float):
    steps = np.arange(3000, dtype=np.float64)
    ours = triangular(steps, 0.001, 0.4, step_size)
    theirs = [kenstler(step, 0.001, 0.4, step_size) for step in range(3000)]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)


def test_triangular_starts_at_the_base_and_peaks_after_one_step_size():
    rates = triangular(np.arange(21, dtype=np.float64), 0.1, 0.5, 10)
    assert rates[0] == 0.1
    assert rates[10] == 0.5
    assert rates[20] == pytest.approx(0.1)


def test_step_size_is_not_rounded_and_the_decay_multiplies_the_schedule():
    recipe = Recipe(schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4), epochs=2, batch_size=512)
    rates = learning_rates(recipe, 50_000)
    by_hand = [np.float32(kenstler(step, 0.001, 0.4, 4 * 50_000 / 512) / (1 + 1e-5 * step)) for step in range(2 * 98)]
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, by_hand)


def test_a_constant_schedule_is_constant():
    assert constant(np.arange(3, dtype=np.float64), 0.2).tolist() == [0.2, 0.2, 0.2]
    recipe = Recipe(schedule=Constant(lr=0.2), epochs=3, batch_size=10)
    assert len(learning_rates(recipe, 25)) == 9


@pytest.mark.parametrize(
    ("images", "batch", "last", "steps"),
    [(50_000, 512, "keep", 98), (50_000, 512, "drop", 97), (512, 512, "keep", 1), (511, 512, "drop", 0)],
)
def test_the_last_batch_is_kept_or_dropped(images: int, batch: int, last: str, steps: int):
    assert steps_per_epoch(images, batch, last) == steps


@pytest.mark.parametrize(("name", "images"), [("quickstart", 1497), ("resnet9-small", 4000), ("resnet9", 50_000)])
def test_each_preset_ends_near_the_foot_of_a_cycle(name: str, images: int):
    recipe = PRESETS[name].recipe
    assert isinstance(recipe.schedule, Triangular)
    rates = learning_rates(recipe, images)
    assert rates[-1] < 0.03 * recipe.schedule.max_lr
    assert len(rates) == recipe.epochs * steps_per_epoch(images, recipe.batch_size, recipe.last_batch)
