"""The progress of a run: best accuracy, time trained, share done, time left."""

from __future__ import annotations

import pytest

from app.metrics.progress import RunProgress, apply_epoch, describe_step, recompute_progress, time_to_target
from app.records.models import Epoch
from tests.app.support.cast import NOW
from tests.app.support.cast import epoch as epoch_event
from trainer.events import EpochEnded, Step


def row(number: int, val_accuracy: float | None = 0.5, seconds: float = 2.0, val_seconds: float = 0.0) -> Epoch:
    return Epoch(
        run_id=1, attempt=1, epoch=number, val_accuracy=val_accuracy, seconds=seconds, val_seconds=val_seconds,
        tta_seconds=0.0, at=NOW,
    )  # fmt: skip


def run(epochs: int = 10, target: float = 0.9) -> RunProgress:
    return RunProgress(id=7, epochs=epochs, target_accuracy=target)


def step(epoch: int, number: int, of: int = 10, seconds: float = 0.0) -> Step:
    return Step(phase="training", epoch=epoch, step=number, steps_per_epoch=of, seconds=seconds)


@pytest.mark.parametrize(
    ("event", "share"),
    [
        (Step(phase="loading"), 0.0),
        (step(1, 0), 0.0),
        (step(1, 5), 0.05),
        (step(1, 10), 0.1),
        (step(2, 0), 0.1),
        (step(10, 10), 1.0),
        (step(11, 10), 1.0),
        (step(3, 0, of=0), 0.2),
        (Step(phase="evaluating", epoch=3, step=0, steps_per_epoch=10), 0.3),
    ],
)
def test_progress_includes_epochs_and_steps(event: Step, share: float):
    assert describe_step(run(), event, [])["progress"] == pytest.approx(share)


def test_the_time_left_follows_the_latest_epochs():
    described = describe_step(run(epochs=10), step(7, 5), [3.0, 5.0, 4.0])

    assert described["eta_seconds"] == pytest.approx(3.5 * 4.0)


def test_the_training_clock_goes_on_between_epochs_but_not_through_validation():
    trained = run()
    trained.elapsed_seconds = 6.0

    assert describe_step(trained, step(4, 1, seconds=1.5), [])["elapsed_seconds"] == 7.5
    validating = Step(phase="evaluating", epoch=4, steps_per_epoch=10, seconds=9.0)
    assert describe_step(trained, validating, [])["elapsed_seconds"] == 6.0


def test_a_step_describes_its_phase():
    assert describe_step(run(), step(4, 3), [])["words"] == "epoch 4, step 3 of 10"
    assert describe_step(run(), Step(phase="compiling"), [])["words"] == "compiling"


def test_in_the_first_epoch_the_time_left_follows_its_steps():
    assert describe_step(run(epochs=10), step(1, 5, seconds=2.0), [])["eta_seconds"] == pytest.approx(9.5 * 4.0)


@pytest.mark.parametrize("event", [Step(phase="compiling"), step(1, 0, seconds=3.0), step(1, 3, seconds=0.0)])
def test_before_the_first_step_the_time_left_is_unknown(event: Step):
    assert describe_step(run(), event, [])["eta_seconds"] is None


def test_at_the_end_nothing_is_left():
    assert describe_step(run(epochs=2), step(2, 10), [2.0, 2.0])["eta_seconds"] == 0


def test_a_step_names_its_run():
    described = describe_step(run(), step(1, 1), [])

    assert (described["run"], described["epochs"], described["event"], described["phase"]) == (
        7,
        10,
        "step",
        "training",
    )


def test_time_to_target_is_the_clock_at_the_end_of_the_first_epoch_that_reaches_it():
    rows = [row(1, 0.5, 2.0), row(2, None, 2.0), row(3, 0.94, 3.0), row(4, 0.2, 2.0), row(5, 0.99, 2.0)]

    assert time_to_target(0.94, rows) == 7.0
    assert time_to_target(0.941, rows) == 11.0
    assert time_to_target(1.0, rows) is None
    assert time_to_target(0.1, []) is None


def test_an_epoch_updates_the_columns_of_the_run():
    seen = run(target=0.9)
    for number, accuracy in enumerate([0.5, 0.9, None, 0.9, 0.7], 1):
        apply_epoch(seen, EpochEnded.model_validate(epoch_event(number, accuracy)))

    assert (seen.last_epoch, seen.last_val_accuracy) == (5, 0.7)
    assert (seen.best_val_accuracy, seen.best_epoch) == (0.9, 2)  # the earliest of equal ones
    assert (seen.elapsed_seconds, seen.spent_seconds, seen.time_to_target) == (10.0, 10.0, 4.0)


def test_replaced_epochs_no_longer_matter():
    seen = run(target=0.9)
    seen.elapsed_seconds, seen.best_val_accuracy, seen.best_epoch, seen.time_to_target = 99.0, 0.99, 9, 50.0

    recompute_progress(seen, [row(1, 0.5), row(2, 0.8), row(3, 0.8)])

    assert (seen.elapsed_seconds, seen.best_val_accuracy, seen.best_epoch) == (6.0, 0.8, 2)
    assert seen.time_to_target is None
    recompute_progress(seen, [])
    assert (seen.elapsed_seconds, seen.best_val_accuracy, seen.best_epoch) == (0, None, None)
