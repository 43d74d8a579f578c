"""Cyclical learning rates, steps and the time decay, against loops written from the papers, not from our code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.recipe import Recipe
from trainer.recipe.augmentation import Mixup
from trainer.recipe.learning_rates import Calendar, learning_rates, rates_at, schedule_rates, steps_per_epoch
from trainer.recipe.optimizer import SGD
from trainer.recipe.schedule import Constant, ExpRange, Schedule, Sine, Triangular, Triangular2

# step_epochs and pictures over batch size: step sizes of 1, 2, 7, 390.625, 46.78125 and 0.3 steps
STEP_SIZES = [(1, 1), (4, 0.5), (7, 1), (4, 50_000 / 512), (4, 1497 / 128), (0.3, 1)]


class CyclicLR:
    """Brad Kenstler's callback without Keras: one number at a time, `clr_iterations` counted by hand."""

    def __init__(
        self,
        base_lr: float,
        max_lr: float,
        step_size: float,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
    ) -> None:
        self.base_lr, self.max_lr, self.step_size = base_lr, max_lr, step_size
        self.scale_fn, self.scale_mode = scale_fn, scale_mode
        if scale_fn is None and mode == "triangular":
            self.scale_fn, self.scale_mode = lambda x: 1.0, "cycle"
        elif scale_fn is None and mode == "triangular2":
            self.scale_fn, self.scale_mode = lambda x: 1 / (2.0 ** (x - 1)), "cycle"
        elif scale_fn is None and mode == "exp_range":
            self.scale_fn, self.scale_mode = lambda x: gamma ** (x), "iterations"

    def clr(self, iterations: int) -> float:
        cycle = math.floor(1 + iterations / (2 * self.step_size))
        x = abs(iterations / self.step_size - 2 * cycle + 1)
        assert self.scale_fn is not None
        scaled_by = cycle if self.scale_mode == "cycle" else iterations
        return self.base_lr + (self.max_lr - self.base_lr) * max(0, (1 - x)) * self.scale_fn(scaled_by)


def clr_fn(x: float) -> float:
    """What the original experiment gave the callback as `scale_fn`."""
    return 0.5 * (1 + math.sin(x * math.pi / 2.5))


KINDS: dict[str, tuple[type, dict[str, Any], dict[str, Any]]] = {
    "triangular": (Triangular, {}, {}),
    "triangular2": (Triangular2, {}, {"mode": "triangular2"}),
    "exp_range": (ExpRange, {"gamma": 0.9995}, {"mode": "exp_range", "gamma": 0.9995}),
    "sine": (Sine, {}, {"scale_fn": clr_fn, "scale_mode": "cycle"}),
    "sine by step": (Sine, {"scale_mode": "iterations"}, {"scale_fn": clr_fn, "scale_mode": "iterations"}),
}


def whole_run(schedule: Schedule, epoch_steps: float, total: int) -> np.ndarray:
    return schedule_rates(
        schedule, np.arange(total, dtype=np.float64), Calendar(epoch_steps, math.ceil(epoch_steps), total)
    )


@pytest.mark.parametrize(("step_epochs", "epoch_steps"), STEP_SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_cyclical_kind_is_kenstlers_callback_at_every_step(kind: str, step_epochs: float, epoch_steps: float):
    made, ours, theirs = KINDS[kind]
    schedule = made(base_lr=0.001, max_lr=0.4, step_epochs=step_epochs, **ours)
    callback = CyclicLR(0.001, 0.4, step_epochs * epoch_steps, **theirs)
    # 1,000 cycles at most: the callback's own power overflows after 1,024
    total = min(3000, int(2000 * callback.step_size))
    expected = [callback.clr(step) for step in range(total)]
    np.testing.assert_allclose(whole_run(schedule, epoch_steps, total), expected, rtol=0, atol=1e-14)


def test_triangular_starts_at_the_base_and_peaks_after_one_step_size():
    rates = whole_run(Triangular(base_lr=0.1, max_lr=0.5, step_epochs=1), 10, 21)
    assert rates[0] == 0.1
    assert rates[10] == 0.5
    assert rates[20] == pytest.approx(0.1)


def test_peaks_of_triangular2_are_halved_from_cycle_to_cycle():
    rates = whole_run(Triangular2(base_lr=0, max_lr=0.8, step_epochs=1), 10, 61)
    np.testing.assert_allclose(rates[[10, 30, 50]], [0.8, 0.4, 0.2], rtol=1e-15)


def test_peaks_of_the_sine_are_those_of_the_five_cycles_that_repeat():
    rates = whole_run(Sine(base_lr=0, max_lr=1, step_epochs=1), 10, 121)
    by_hand = [0.9755282581, 0.7938926261, 0.2061073739, 0.0244717419, 0.5, 0.9755282581]
    np.testing.assert_allclose(rates[[10, 30, 50, 70, 90, 110]], by_hand, atol=1e-9)


def test_thousands_of_cycles_overflow_nothing():
    rates = whole_run(Triangular2(base_lr=0.001, max_lr=0.4, step_epochs=1), 1, 5000)
    assert rates[1] == pytest.approx(0.4)
    np.testing.assert_array_equal(rates[2500:], 0.001)


def test_the_original_run_of_20_epochs_climbs_at_390_625_steps_a_half_cycle_and_ends_at_its_third_peak():
    recipe = Recipe(
        schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4),
        optimizer=SGD(decay=0),
        epochs=20,
        batch_size=512,
    )
    rates = learning_rates(recipe, 50_000)
    callback = CyclicLR(0.001, 0.4, 390.625)
    assert len(rates) == 20 * 98
    np.testing.assert_array_equal(rates, [np.float32(callback.clr(step)) for step in range(20 * 98)])
    assert rates[0] == np.float32(0.001)
    # The third peak is at step 5 · 390.625 = 1953.125, and the run's 20 epochs of 98 steps end at step 1959.
    assert int(np.argmax(rates[1600:])) + 1600 == 1953
    assert rates[-1] == pytest.approx(0.4 - 0.399 * (1959 - 1953.125) / 390.625, rel=1e-6)


def test_the_time_decay_multiplies_any_schedule():
    for schedule in (Constant(lr=0.2), Triangular(), Sine()):
        plain, decayed = (
            learning_rates(Recipe(schedule=schedule, optimizer=SGD(decay=decay), epochs=3, batch_size=512), 50_000)
            for decay in (0.0, 1e-2)
        )
        for step in range(3 * 98):
            assert decayed[step] == pytest.approx(plain[step] / (1 + 1e-2 * step), rel=1e-6)


def test_schedule_and_decay_are_evaluated_in_float64_and_rounded_once():
    recipe = Recipe(schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4), epochs=2, batch_size=512)
    callback = CyclicLR(0.001, 0.4, 4 * 50_000 / 512)
    rates = learning_rates(recipe, 50_000)
    assert rates.dtype == np.float32
    by_hand = [np.float32(callback.clr(step) / (1 + 1e-5 * step)) for step in range(2 * 98)]
    np.testing.assert_array_equal(rates, by_hand)


def test_some_steps_have_the_rates_that_they_have_in_the_whole_run():
    recipe = Recipe(schedule=Sine(), epochs=5, batch_size=100)
    some = np.array([0, 3, 74, 41], dtype=np.float64)
    np.testing.assert_array_equal(rates_at(recipe, 1497, some), learning_rates(recipe, 1497)[[0, 3, 74, 41]])


@pytest.mark.parametrize(
    ("images", "batch", "last", "pairing", "steps"),
    [
        (50_000, 512, "keep", None, 98),
        (50_000, 512, "drop", None, 97),
        (512, 512, "keep", None, 1),
        (511, 512, "drop", None, 0),
        (50_000, 512, "keep", "permute", 98),
        (50_000, 512, "drop", "permute", 97),
        (50_000, 512, "keep", "disjoint", 48),  # floor(50,000 / 1024), whatever last_batch says
        (50_000, 512, "drop", "disjoint", 48),
        (1024, 512, "keep", "disjoint", 1),
        (1023, 512, "keep", "disjoint", 0),
    ],
)
def test_steps_of_an_epoch_follow_the_last_batch_and_the_pairs(
    images: int, batch: int, last: str, pairing: str | None, steps: int
):
    mixup = {"pairing": pairing} if pairing else None
    recipe = Recipe.model_validate({"batch_size": batch, "last_batch": last, "mixup": mixup, "epochs": 3})
    assert steps_per_epoch(recipe, images) == steps
    assert len(learning_rates(recipe, images)) == 3 * steps


def test_half_cycles_are_counted_in_pictures_also_where_pairs_halve_the_steps():
    """step_size is k · pictures / batch size, as the original computed it, so a cycle takes twice the epochs."""
    recipe = Recipe(
        schedule=Triangular(base_lr=0, max_lr=1, step_epochs=2), optimizer=SGD(decay=0), mixup=Mixup(), batch_size=10
    )
    rates = learning_rates(recipe, 100)
    callback = CyclicLR(0, 1, 20)
    np.testing.assert_array_equal(rates, [np.float32(callback.clr(step)) for step in range(20 * 5)])


RATES = st.floats(0, 100)


@st.composite
def cyclical(draw: st.DrawFn) -> Any:
    low, high = sorted([draw(RATES), draw(RATES)])
    given: dict[str, Any] = {"base_lr": low, "max_lr": high, "step_epochs": draw(st.floats(0.01, 10_000))}
    kind = draw(st.sampled_from([Triangular, Triangular2, Sine, ExpRange]))
    if kind is ExpRange:
        given["gamma"] = draw(st.floats(0, 1, exclude_min=True))
    if kind is Sine:
        given["scale_mode"] = draw(st.sampled_from(["cycle", "iterations"]))
    return kind(**given)


@given(schedule=cyclical(), epoch_steps=st.floats(0.1, 1e5), total=st.integers(1, 2000))
def test_cyclical_rates_stay_between_base_and_peak(schedule: Any, epoch_steps: float, total: int):
    rates = whole_run(schedule, epoch_steps, total)
    assert rates.shape == (total,)
    assert rates[0] == schedule.base_lr
    assert (rates >= schedule.base_lr).all()
    assert (rates <= schedule.max_lr * (1 + 1e-15)).all()
