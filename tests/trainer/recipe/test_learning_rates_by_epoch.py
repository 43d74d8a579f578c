"""The schedules that count whole epochs or the whole run, against NumPy's interp, PyTorch's code and plain loops."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.recipe import Recipe
from trainer.recipe.learning_rates import Calendar, learning_rates, schedule_rates
from trainer.recipe.optimizer import SGD
from trainer.recipe.schedule import Constant, OneCycle, Piecewise, Schedule, Slopes, StepDecay

Shape = Literal["linear", "cosine"]


def whole_run(schedule: Schedule, per_epoch: int, epochs: int) -> np.ndarray:
    total = per_epoch * epochs
    # an epoch of 0.4 steps less than there are: nothing here may look at it
    return schedule_rates(schedule, np.arange(total, dtype=np.float64), Calendar(per_epoch - 0.4, per_epoch, total))


def test_a_constant_schedule_is_constant():
    assert whole_run(Constant(lr=0.2), 1, 3).tolist() == [0.2, 0.2, 0.2]
    recipe = Recipe(schedule=Constant(lr=0.2), optimizer=SGD(decay=0), epochs=3, batch_size=10)
    np.testing.assert_array_equal(learning_rates(recipe, 25), np.full(9, 0.2, np.float32))


@pytest.mark.parametrize("knots", [[[0, 0], [5, 0.4], [24, 0]], [[2, 0.1]], [[0.5, 0.3], [1.25, 0], [7, 2]]])
def test_piecewise_is_davidnets_interpolation_at_every_step(knots: list[list[float]]):
    rates = whole_run(Piecewise(knots=knots), 98, 25)
    epochs, heights = [knot[0] for knot in knots], [knot[1] for knot in knots]
    for step in range(98 * 25):
        assert rates[step] == np.interp(step / 98, epochs, heights)


def test_davidnets_knots_give_its_peak_after_five_epochs_and_hold_at_both_ends():
    rates = whole_run(Piecewise(), 98, 30)
    assert (rates[0], rates[5 * 98], rates[24 * 98], rates[-1]) == (0, 0.4, 0, 0)
    assert rates[49] == pytest.approx(0.04)
    assert whole_run(Piecewise(knots=[[1, 0.3], [2, 0.1]]), 10, 3)[[0, 9, 20, 29]].tolist() == [0.3, 0.3, 0.1, 0.1]


def test_slopes_are_the_originals_two_lines_and_never_below_0():
    rates = whole_run(Slopes(start_lr=0.01, rise=0.1068, rise_epochs=5, fall=0.01059), 98, 80)
    for step in range(98 * 80):
        epoch = step / 98
        height = 0.01 + 0.1068 * epoch if epoch <= 5 else 0.01 + 0.1068 * 5 - 0.01059 * (epoch - 5)
        assert rates[step] == pytest.approx(max(height, 0), abs=1e-14)
    assert rates[-1] == 0


@pytest.mark.parametrize("every", [1, 5, 2.5])
def test_steps_fall_by_the_factor_every_so_many_epochs(every: float):
    rates = whole_run(StepDecay(lr=0.3, factor=0.1, every_epochs=every), 7, 20)
    for step in range(7 * 20):
        expected = 0.3
        for drop in range(1, 100):
            if step >= drop * every * 7:
                expected *= 0.1
        assert rates[step] == pytest.approx(expected, rel=1e-12)


def torchs_one_cycle(step: int, total: int, knobs: OneCycle) -> float:
    """`torch.optim.lr_scheduler.OneCycleLR.get_lr` with three_phase=False, one number at a time."""

    def annealed(start: float, end: float, pct: float) -> float:
        if knobs.shape == "cosine":
            cos_out = math.cos(math.pi * pct) + 1
            return end + (start - end) / 2.0 * cos_out
        return (end - start) * pct + start

    phases = [
        {"end_step": float(knobs.peak * total) - 1, "start_lr": knobs.start_lr, "end_lr": knobs.max_lr},
        {"end_step": total - 1, "start_lr": knobs.max_lr, "end_lr": knobs.final_lr},
    ]
    start_step = 0.0
    for number, phase in enumerate(phases):
        if step <= phase["end_step"] or number == len(phases) - 1:
            pct = (step - start_step) / (phase["end_step"] - start_step)
            return annealed(phase["start_lr"], phase["end_lr"], pct)
        start_step = phase["end_step"]
    raise AssertionError


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize(("peak", "per_epoch", "epochs"), [(0.25, 98, 20), (0.3, 7, 11), (0.9, 1, 13), (0.5, 3, 2)])
def test_one_cycle_is_pytorchs_at_every_step(shape: Shape, peak: float, per_epoch: int, epochs: int):
    knobs = OneCycle(start_lr=0.016, max_lr=0.4, final_lr=4e-5, peak=peak, shape=shape)
    total = per_epoch * epochs
    expected = [torchs_one_cycle(step, total, knobs) for step in range(total)]
    np.testing.assert_allclose(whole_run(knobs, per_epoch, epochs), expected, rtol=0, atol=1e-15)


def test_one_cycle_starts_peaks_and_ends_where_it_says():
    rates = whole_run(OneCycle(start_lr=0.02, max_lr=0.4, final_lr=0.001, peak=0.25), 25, 4)
    assert (rates[0], rates[24], rates[99]) == (0.02, 0.4, pytest.approx(0.001))
    assert rates.argmax() == 24


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("peak", [0.01, 0.25, 0.99])
def test_one_cycle_of_very_few_steps_stays_between_its_rates(total: int, peak: float):
    rates = whole_run(OneCycle(start_lr=0.1, max_lr=0.4, final_lr=0.05, peak=peak), 1, total)
    assert (rates >= 0.05 - 1e-15).all()
    assert (rates <= 0.4).all()
    assert rates[-1] == pytest.approx(0.05 if total > 1 else 0.4)


RATES = st.floats(0, 100)
EPOCHS = st.floats(0, 10_000)


@st.composite
def by_epoch(draw: st.DrawFn) -> Any:
    low, high = sorted([draw(RATES), draw(RATES)])
    knots = sorted(draw(st.sets(EPOCHS, min_size=1, max_size=5)))
    return draw(
        st.sampled_from(
            [
                Constant(lr=low),
                Piecewise(knots=[[epoch, draw(RATES)] for epoch in knots]),
                Slopes(start_lr=low, rise=high, rise_epochs=draw(EPOCHS), fall=draw(RATES)),
                StepDecay(lr=high, factor=draw(st.floats(1e-9, 1)), every_epochs=draw(st.floats(0.01, 10_000))),
                OneCycle(
                    start_lr=low,
                    max_lr=high,
                    final_lr=draw(RATES),
                    peak=draw(st.floats(0, 1, exclude_min=True, exclude_max=True)),
                    shape=draw(st.sampled_from(["linear", "cosine"])),
                ),
            ]
        )
    )


@given(schedule=by_epoch(), images=st.integers(1, 300), batch=st.integers(1, 40), decay=st.floats(0, 1))
def test_every_rate_is_finite_and_never_below_0(schedule: Schedule, images: int, batch: int, decay: float):
    recipe = Recipe(schedule=schedule, optimizer=SGD(decay=decay), epochs=3, batch_size=batch)
    rates = learning_rates(recipe, images)
    assert len(rates) == 3 * math.ceil(images / batch)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()


@given(knots=st.lists(st.tuples(st.integers(0, 50), RATES), min_size=1, max_size=8, unique_by=lambda knot: knot[0]))
def test_a_piecewise_rate_never_leaves_the_range_of_its_knots(knots: list[tuple[int, float]]):
    heights = [height for _, height in knots]
    rates = whole_run(Piecewise(knots=[list(knot) for knot in sorted(knots)]), 3, 60)
    assert (rates >= min(heights)).all()
    assert (rates <= max(heights)).all()
    for epoch, height in knots:
        assert rates[3 * epoch] == pytest.approx(height, abs=1e-12)
