"""Cancelling, on the records: waiting, held, lost and ended runs."""

from __future__ import annotations

import pytest

from app.errors import Conflict
from app.web.deps import State
from tests.app.support.cast import NOW, claim, launch
from tests.app.support.queue_verbs import beat, cancel, finish, found, held_run, rescue


def test_a_waiting_run_is_cancelled_at_once(state: State):
    run_id = launch(state)
    cancel(state, run_id)
    cancel(state, run_id)

    assert (found(state, run_id).status, found(state, run_id).ended_at) == ("cancelled", NOW)
    assert claim(state) is None


def test_a_held_run_is_cancelled_by_asking_its_worker(state: State):
    run_id, _ = held = held_run(state)
    cancel(state, run_id)

    assert (found(state, run_id).status, found(state, run_id).requested) == ("starting", "cancel")
    assert beat(state, held) == "cancel"

    finish(state, held, "cancelled", exit_code=75)

    assert (found(state, run_id).status, found(state, run_id).requested) == ("cancelled", None)


def test_a_run_that_succeeds_before_its_worker_hears_of_the_cancel_has_succeeded(state: State):
    run_id, _ = held = held_run(state)
    cancel(state, run_id)
    finish(state, held, "succeeded", exit_code=0)

    assert (found(state, run_id).status, found(state, run_id).requested) == ("succeeded", None)


def test_a_run_whose_worker_falls_silent_while_it_is_cancelled_is_cancelled(state: State):
    run_id, _ = held = held_run(state)
    cancel(state, run_id)
    rescue(state, held)

    assert found(state, run_id).status == "cancelled"
    with pytest.raises(Conflict):
        beat(state, held)


def test_a_lost_run_can_be_cancelled_and_its_holder_does_not_bring_it_back(state: State):
    run_id, _ = held = held_run(state)
    rescue(state, held)
    cancel(state, run_id)

    with pytest.raises(Conflict):
        beat(state, held)
    assert found(state, run_id).status == "cancelled"


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_what_has_ended_cannot_be_cancelled(state: State, outcome: str):
    run_id, _ = held = held_run(state)
    finish(state, held, outcome)

    word = "finished" if outcome == "succeeded" else outcome
    with pytest.raises(Conflict, match=f"already {word}"):
        cancel(state, run_id)
