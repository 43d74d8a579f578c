"""When a run counts as hung, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.support.cast import Clock
from trainer.worker.timing import Timing
from trainer.worker.watchdog import COMPILING_S, LOADING_S, USUAL_STEPS, Watchdog

MIN_PATIENCE_S = Timing().min_patience_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dog(clock: Clock) -> Watchdog:
    return Watchdog(clock=clock)


def passes(dog: Watchdog, clock: Clock, seconds: float) -> None:
    """Let time pass, calling find_hang several times a second as the worker does."""
    ends = clock.seconds + seconds
    while clock.seconds < ends:
        clock.seconds = min(clock.seconds + 1, ends)
        dog.find_hang()


def step(number: int, phase: str = "training", epoch: int = 1) -> dict[str, Any]:
    return {"event": "step", "phase": phase, "epoch": epoch, "step": number}


def test_a_run_whose_steps_go_on_is_never_overdue(dog: Watchdog, clock: Clock):
    for number in range(1, 200):
        passes(dog, clock, 30)
        dog.record_event(step(number))
        assert dog.find_hang() is None


def test_repeating_where_a_run_stands_is_no_progress(dog: Watchdog, clock: Clock):
    for number in (1, 2):
        dog.record_event(step(number))
        passes(dog, clock, 1)
    for _ in range(200):
        dog.record_event(step(2))
        passes(dog, clock, 0.75)

    said = dog.find_hang()
    assert said is not None
    assert "while training" in said


def test_the_limit_grows_with_the_usual_step(dog: Watchdog, clock: Clock):
    for number in range(1, 12):
        dog.record_event(step(number))
        passes(dog, clock, 20)
    dog.record_event(step(12))

    passes(dog, clock, MIN_PATIENCE_S + USUAL_STEPS * 20 - 1)
    assert dog.find_hang() is None
    passes(dog, clock, 2)
    assert dog.find_hang() is not None


def test_several_steps_between_two_words_count_each(dog: Watchdog, clock: Clock):
    dog.record_event(step(10))
    for number in range(20, 200, 10):
        passes(dog, clock, 1)
        dog.record_event(step(number))

    passes(dog, clock, MIN_PATIENCE_S + 2)  # a step takes a tenth of a second here: no minute more than at least
    assert dog.find_hang() is not None


@pytest.mark.parametrize(("phase", "limit"), [("loading", LOADING_S), ("compiling", COMPILING_S)])
def test_loading_and_compiling_have_limits_of_their_own(dog: Watchdog, clock: Clock, phase: str, limit: float):
    dog.record_event(step(0, phase, 0))
    passes(dog, clock, limit - 1)
    assert dog.find_hang() is None
    passes(dog, clock, 2)
    assert dog.find_hang() is not None


def test_the_first_step_may_take_as_long_as_compiling(dog: Watchdog, clock: Clock):
    dog.record_event(step(0))
    passes(dog, clock, COMPILING_S - 1)
    assert dog.find_hang() is None
    dog.record_event(step(1))
    passes(dog, clock, MIN_PATIENCE_S + 1)
    assert dog.find_hang() is not None


def test_a_download_that_writes_how_far_it_is_goes_on(dog: Watchdog, clock: Clock):
    for _ in range(10):
        passes(dog, clock, LOADING_S / 2)
        dog.record_log()
    assert dog.find_hang() is None


def test_a_log_that_grows_is_no_progress_of_a_training(dog: Watchdog, clock: Clock):
    for number in (1, 2):
        dog.record_event(step(number))
    passes(dog, clock, MIN_PATIENCE_S + 1)
    dog.record_log()
    assert dog.find_hang() is not None


def test_an_epoch_or_a_checkpoint_is_progress(dog: Watchdog, clock: Clock):
    for number in (1, 2):
        dog.record_event(step(number))
    passes(dog, clock, MIN_PATIENCE_S)
    dog.record_event({"event": "checkpoint", "epoch": 1})
    passes(dog, clock, MIN_PATIENCE_S)
    assert dog.find_hang() is None


def test_a_worker_that_stood_still_itself_blames_nobody(dog: Watchdog, clock: Clock):
    for number in (1, 2):
        dog.record_event(step(number))
        passes(dog, clock, 1)
    clock.seconds += 3600  # it was stopped, or its machine slept

    assert dog.find_hang() is None
    passes(dog, clock, MIN_PATIENCE_S + USUAL_STEPS + 2)
    assert dog.find_hang() is not None
