"""Cosines with restarts, against Keras' own schedule and the paper's formula."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.recipe import Recipe
from trainer.recipe.check import check_recipe
from trainer.recipe.learning_rates import Calendar, schedule_rates
from trainer.recipe.optimizer import SGD
from trainer.recipe.schedule import Constant, CosineRestarts, Triangular


def whole_run(schedule: CosineRestarts, per_epoch: int, total: int) -> np.ndarray:
    # an epoch of 0.4 steps less than there are: epochs are counted in actual steps
    return schedule_rates(schedule, np.arange(total, dtype=np.float64), Calendar(per_epoch - 0.4, per_epoch, total))


def by_hand(schedule: CosineRestarts, per_epoch: int, total: int) -> list[float]:
    """SGDR's own loop: T_cur counts the steps since the restart, T_i is the length of the period."""
    peak, start, length, rates = schedule.max_lr, 0.0, schedule.period_epochs * per_epoch, []
    for step in range(total):
        while step >= start + length - 1e-6:
            start, length = start + length, length * schedule.period_factor
            peak = schedule.min_lr + (peak - schedule.min_lr) * schedule.peak_factor
        cosine = math.cos(math.pi * schedule.fraction * max(step - start, 0.0) / length)
        rates.append(schedule.min_lr + 0.5 * (peak - schedule.min_lr) * (1 + cosine))
    return rates


GRID = [
    CosineRestarts(
        min_lr=min_lr, max_lr=0.4, period_epochs=period, period_factor=growth, peak_factor=peak, fraction=fraction
    )
    for min_lr, period, growth, peak, fraction in product(
        (0, 0.01), (1, 2.5, 0.3, 40), (1, 2, 1.5, 3, 1.0001), (1, 0.5, 0.09), (1, 0.25)
    )
]


def test_the_rates_are_those_of_the_paper_s_loop_at_every_step():
    for schedule in GRID:
        found = whole_run(schedule, 10, 300)
        np.testing.assert_allclose(found, by_hand(schedule, 10, 300), rtol=0, atol=1e-12, err_msg=str(schedule))


@pytest.mark.keras
@pytest.mark.usefixtures("tensorflow")
def test_a_whole_cosine_is_keras_own_schedule():
    import keras

    per_epoch, total = 10, 300
    for schedule in (one for one in GRID if one.fraction == 1):
        # Python's own numbers would become float32
        keras_schedule = keras.optimizers.schedules.CosineDecayRestarts(
            np.float64(schedule.max_lr),
            np.float64(schedule.period_epochs * per_epoch),
            t_mul=np.float64(schedule.period_factor),
            m_mul=np.float64(schedule.peak_factor),
            alpha=np.float64(schedule.min_lr / schedule.max_lr),
        )
        step = np.arange(total, dtype=np.float64)
        expected = np.array(keras.ops.convert_to_numpy(keras_schedule(step)))
        found = whole_run(schedule, per_epoch, total)
        # its logarithm puts some restarts one step late, as at step 5·(3^5 - 1)/2; ours come on time
        is_restart = np.array(restarts(schedule, per_epoch, total))
        np.testing.assert_allclose(found[~is_restart], expected[~is_restart], rtol=0, atol=1e-10, err_msg=str(schedule))


def restarts(schedule: CosineRestarts, per_epoch: int, total: int) -> list[bool]:
    ends, length = {0.0}, schedule.period_epochs * per_epoch
    while max(ends) < total:
        ends.add(max(ends) + length)
        length *= schedule.period_factor
    return [any(abs(step - end) < 1e-6 for end in ends) for step in range(total)]


def test_the_documented_places_of_a_schedule_that_doubles_its_periods():
    rates = whole_run(CosineRestarts(min_lr=0.1, max_lr=0.5, period_epochs=2, period_factor=2), 10, 141)
    for restart in (0, 20, 60, 140):
        assert rates[restart] == 0.5
    for middle in (10, 40, 100):
        assert rates[middle] == pytest.approx(0.3)
    assert rates[[19, 59, 139]] == pytest.approx([0.1] * 3, abs=0.003)


@pytest.mark.parametrize("period", [0.1, 0.3, 0.7, 1.1, 2.3])
def test_a_restart_comes_at_its_step_although_the_period_is_no_binary_fraction(period: float):
    rates = whole_run(CosineRestarts(max_lr=0.4, period_epochs=period), 10, 500)
    assert set(rates[:: round(10 * period)]) == {0.4}


@pytest.mark.parametrize(("fraction", "end"), [(1, 0.0), (0.5, 0.5), (0.25, 0.8536)])
def test_a_fraction_of_the_cosine_ends_where_the_help_says(fraction: float, end: float):
    rates = whole_run(CosineRestarts(max_lr=1, period_epochs=1, fraction=fraction), 100_000, 100_000)
    assert rates[-1] == pytest.approx(end, abs=1e-4)


@st.composite
def odd(draw: st.DrawFn) -> Any:
    low, high = sorted([draw(st.floats(0, 100)), draw(st.floats(0, 100))])
    return CosineRestarts(
        min_lr=low,
        max_lr=high,
        period_epochs=draw(st.floats(0.001, 10_000)),
        period_factor=draw(st.floats(1, 100) | st.floats(1, 1 + 1e-9)),
        peak_factor=draw(st.floats(0, 1, exclude_min=True)),
        fraction=draw(st.floats(0, 1, exclude_min=True)),
    )


@given(schedule=odd(), per_epoch=st.integers(1, 100_000), first=st.integers(0, 10**9))
def test_odd_settings_stay_between_minimum_and_peak(schedule: CosineRestarts, per_epoch: int, first: int):
    steps = np.unique(np.concatenate([np.arange(500.0), first + np.arange(500.0)]))
    rates = schedule_rates(schedule, steps, Calendar(per_epoch, per_epoch, 2 * 10**9))
    assert rates[0] == pytest.approx(schedule.max_lr)
    assert np.isfinite(rates).all()
    assert (rates >= schedule.min_lr * (1 - 1e-12)).all()
    assert (rates <= schedule.max_lr * (1 + 1e-12)).all()


ENDS_HIGH = {
    "soon after a restart": CosineRestarts(max_lr=0.4, period_epochs=6, peak_factor=0.9),
    "within the only period": CosineRestarts(max_lr=0.4, period_epochs=50),
    "with longer periods": CosineRestarts(max_lr=0.4, period_epochs=2.1, period_factor=2),
    "cut off": CosineRestarts(max_lr=0.4, period_epochs=5, fraction=0.25),
}


def warned(schedule: Any) -> dict[str, Any]:
    recipe = Recipe(schedule=schedule, epochs=20, batch_size=128, optimizer=SGD(decay=0))
    return {one.code: one for one in check_recipe(recipe, 50_000) if one.path == "schedule"}


@pytest.mark.parametrize("case", ENDS_HIGH)
def test_a_run_that_ends_high_is_stretched_to_whole_periods(case: str):
    schedule = ENDS_HIGH[case]
    fix = warned(schedule)["ends_at_peak"].fix["schedule"]
    mended = schedule.model_copy(update=fix)
    assert warned(mended) == {}
    rates = whole_run(mended, 391, 20 * 391)
    assert rates[-1] < 0.001


def test_a_rate_that_is_nearly_0_for_most_of_the_run_is_warned_about():
    vanishing = CosineRestarts(max_lr=0.1, period_epochs=1, peak_factor=0.09)
    warning = warned(vanishing)["rate_vanishes"]
    assert "thousandth of its peak for 8" in warning.text
    assert warned(vanishing.model_copy(update=warning.fix["schedule"])) == {}
    for schedule in (Constant(lr=0), Triangular(base_lr=0), CosineRestarts(peak_factor=0.5, period_epochs=4)):
        assert "rate_vanishes" not in warned(schedule)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"min_lr": 0.5}, "must not be below min_lr (0.5)"),
        ({"period_epochs": 0}, "greater than or equal to 0.001"),
        ({"period_factor": 0.5}, "greater than or equal to 1"),
        ({"peak_factor": 0}, "greater than 0"),
        ({"peak_factor": 1.1}, "less than or equal to 1"),
        ({"fraction": 0}, "greater than 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        CosineRestarts(**wrong)
