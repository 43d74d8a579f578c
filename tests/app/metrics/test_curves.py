"""Curves of many runs and the band over them, checked against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.metrics.curves import Curve, compute_band, load_curves
from app.web.deps import State
from tests.app.support.cast import Hand, epoch, launch, started, trained
from tests.app.support.queue_verbs import finish, held_run, retry, say

NONE = float("nan")


def curve(run_id: int, *accuracies: float, first: int = 1, seconds: float = 2.0) -> Curve:
    """Epochs `first`, first + 1, …"""
    n = len(accuracies)
    empty = np.full(n, NONE)
    return Curve(
        run_id,
        epoch=np.arange(first, first + n, dtype=np.float64),
        elapsed=np.cumsum(np.full(n, seconds)),
        train_loss=1.0 / np.arange(1, n + 1),
        train_accuracy=empty,
        val_loss=empty,
        val_accuracy=empty,
        counted_accuracy=np.array(accuracies),
        learning_rate=empty,
        seconds=np.full(n, seconds),
    )


def test_a_band_is_numpys_mean_deviation_minimum_and_maximum():
    values = np.random.default_rng(0).uniform(0.2, 0.95, (5, 12))
    found = compute_band([curve(number, *row, seconds=number + 1.0) for number, row in enumerate(values)])

    np.testing.assert_array_equal(found.epoch, np.arange(1, 13))
    np.testing.assert_array_equal(found.n, np.full(12, 5))
    np.testing.assert_allclose(found.mean, values.mean(axis=0))
    np.testing.assert_allclose(found.sd, values.std(axis=0, ddof=1))
    np.testing.assert_array_equal(found.low, values.min(axis=0))
    np.testing.assert_array_equal(found.high, values.max(axis=0))
    np.testing.assert_allclose(found.elapsed, 3.0 * np.arange(1, 13))


def test_runs_of_different_length_are_in_the_band_up_to_their_last_epoch():
    found = compute_band([curve(1, 0.5, 0.7, 0.9), curve(2, 0.3), curve(3, 0.4, 0.6, seconds=4.0)])

    assert found.n.tolist() == [3, 2, 1]
    np.testing.assert_allclose(found.mean, [0.4, 0.65, 0.9])
    np.testing.assert_allclose(found.sd, [0.1, float(np.std([0.7, 0.6], ddof=1)), NONE])
    assert (found.low.tolist(), found.high.tolist()) == ([0.3, 0.6, 0.9], [0.5, 0.7, 0.9])
    np.testing.assert_allclose(found.elapsed, [8 / 3, 6.0, 6.0])


def test_epochs_without_validation_are_not_in_a_band():
    found = compute_band([curve(1, NONE, 0.5, NONE, 0.8), curve(2, NONE, NONE, NONE, 0.6)])

    assert (found.epoch.tolist(), found.n.tolist()) == ([2.0, 4.0], [1, 2])
    np.testing.assert_allclose(found.mean, [0.5, 0.7])
    assert len(compute_band([curve(1, NONE, NONE)]).epoch) == 0


def test_a_band_can_be_of_another_field_and_of_runs_that_begin_later():
    found = compute_band([curve(1, 0.1, 0.2), curve(2, 0.3, 0.4, first=2)], "train_loss")

    assert (found.epoch.tolist(), found.n.tolist()) == ([1.0, 2.0, 3.0], [1, 2, 1])
    np.testing.assert_allclose(found.mean, [1.0, 0.75, 0.5])


def test_curves_have_the_training_clock_at_each_epoch(client: TestClient, state: State):
    one, two = trained(client, state, (0.5, None, 0.9)), trained(client, state, (0.4,))
    waiting = launch(state)

    with state.records.read() as session:
        found = load_curves(session, [two, one, waiting, 99])

    assert set(found) == {one, two}
    assert (found[one].epoch.tolist(), found[one].elapsed.tolist()) == ([1, 2, 3], [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(found[one].val_accuracy, [0.5, NONE, 0.9])
    np.testing.assert_allclose(found[one].train_loss, [1.0, 1 / 2, 1 / 3])
    assert (found[two].run_id, found[two].val_accuracy.tolist()) == (two, [0.4])
    with state.records.read() as session:
        assert load_curves(session, []) == {}
        assert load_curves(session, [waiting]) == {}


def test_the_curve_of_a_resumed_run_has_the_highest_attempt_of_each_epoch(client: TestClient, state: State):
    run = launch(state)
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.1, 1.0), epoch(2, 0.2, 1.0), epoch(3, 0.3, 1.0))
    hand.finish("released")
    assert hand.claim()
    hand.say(started(resumed_from_epoch=1), epoch(2, 0.25, 5.0))

    with state.records.read() as session:
        found = load_curves(session, [run])[run]

    assert found.epoch.tolist() == [1, 2, 3]
    assert found.val_accuracy.tolist() == [0.1, 0.25, 0.3]
    assert found.elapsed.tolist() == [1.0, 6.0, 7.0]
    answer = client.get(f"/api/v1/runs/{run}/epochs").json()
    assert [row["val_accuracy"] for row in answer] == found.val_accuracy.tolist()


def test_a_retry_from_scratch_begins_an_empty_curve(state: State):
    held = held_run(state)
    say(state, held, started(), epoch(1, 0.9))
    finish(state, held, "failed", exit_code=1)
    retry(state, held[0], "scratch")

    with state.records.read() as session:
        assert load_curves(session, [held[0]]) == {}


@pytest.mark.parametrize("runs", [1, 2, 7])
def test_equal_curves_have_a_band_of_no_width(runs: int):
    found = compute_band([curve(number, 0.5, 0.75) for number in range(runs)])

    assert found.mean.tolist() == found.low.tolist() == found.high.tolist() == [0.5, 0.75]
    np.testing.assert_array_equal(found.sd, [0.0, 0.0] if runs > 1 else [NONE, NONE])
