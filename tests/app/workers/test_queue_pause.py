"""Pause, resume, retry and force, on the records."""

from __future__ import annotations

import pytest

from app.errors import Conflict
from app.runs import runs
from app.web.deps import State
from app.workers import queue
from tests.app.support.cast import NOW, claim, epoch, launch, started
from tests.app.support.queue_verbs import (
    attempt_of,
    beat,
    cancel,
    finish,
    found,
    held_run,
    pause,
    rescue,
    resume,
    retry,
    say,
)


def test_a_waiting_run_is_paused_at_once_and_keeps_its_place(state: State):
    first, second = launch(state), launch(state)
    pause(state, first)
    pause(state, first)

    assert found(state, first).status == "paused"
    resume(state, first)
    assert claim(state) == (first, 1)
    assert claim(state, "bob") == (second, 1)


def test_a_held_run_is_paused_by_asking_its_worker(state: State):
    run_id, _ = held = held_run(state)
    pause(state, run_id)
    assert beat(state, held) == "pause"

    finish(state, held, "paused", exit_code=75)

    run = found(state, run_id)
    assert (run.status, run.requested, run.ended_at) == ("paused", None, None)
    assert attempt_of(state, run_id).outcome == "paused"
    assert claim(state) is None


def test_a_pause_that_is_taken_back_before_its_worker_answers_goes_on(state: State):
    run_id, _ = held = held_run(state)
    pause(state, run_id)
    resume(state, run_id)
    assert beat(state, held) == "none"

    finish(state, held, "paused", exit_code=75)  # it had heard of the pause already

    assert found(state, run_id).status == "queued"


def test_a_paused_run_can_be_cancelled_and_a_cancel_wins_over_a_pause(state: State):
    run_id, _ = held = held_run(state)
    pause(state, run_id)
    cancel(state, run_id)
    assert beat(state, held) == "cancel"
    with pytest.raises(Conflict, match="being cancelled"):
        pause(state, run_id)
    finish(state, held, "paused")
    assert found(state, run_id).status == "cancelled"


def test_a_run_whose_worker_falls_silent_while_it_is_paused_is_paused(state: State):
    run_id, _ = held = held_run(state)
    pause(state, run_id)
    rescue(state, held)

    assert found(state, run_id).status == "paused"


def test_cancelling_twice_asks_for_force(state: State):
    run_id, _ = held = held_run(state)
    cancel(state, run_id)
    assert beat(state, held) == "cancel"
    cancel(state, run_id)
    assert beat(state, held) == "cancel_now"
    finish(state, held, "cancelled", exit_code=-9)

    assert (found(state, run_id).status, found(state, run_id).forced) == ("cancelled", False)


def test_only_what_waits_or_trains_can_be_paused_and_only_what_is_paused_resumed(state: State):
    run_id, _ = held = held_run(state)
    with pytest.raises(Conflict, match="is starting: only a paused run"):
        resume(state, run_id)
    finish(state, held)
    with pytest.raises(Conflict, match="has finished"):
        pause(state, run_id)
    with pytest.raises(Conflict, match="clone it instead"):
        retry(state, run_id)


# retry


def test_a_failed_run_is_tried_again_from_its_checkpoint_with_its_curve(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1), epoch(2), {"event": "checkpoint", "epoch": 2})
    finish(state, held, "failed", exit_code=1, failure="error", reason="It broke.")
    trail = found(state, run_id).trail

    retry(state, run_id)
    run = found(state, run_id)
    assert (run.status, run.failure, run.reason, run.ended_at) == ("queued", None, None, None)
    assert (run.trail, run.trail_from, run.last_epoch) == (trail, 1, 2)

    assert claim(state) == (run_id, 2)
    with state.records.read() as session:
        where = queue.find_resume(session, runs.find(session, run_id))
    assert where is not None
    assert (where.known_epoch, where.checkpoint) == (2, None)


def test_a_retry_from_scratch_begins_a_new_curve_on_a_new_trail(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1, 0.9), epoch(2, 0.95))
    finish(state, held, "failed")
    trail = found(state, run_id).trail

    retry(state, run_id, "scratch")
    run = found(state, run_id)
    assert run.trail != trail
    assert (run.trail_from, run.last_epoch, run.best_val_accuracy, run.elapsed_seconds) == (2, 0, None, 0.0)
    assert run.spent_seconds == 4.0  # it was spent all the same

    second = claim(state)
    assert second == (run_id, 2)
    with state.records.read() as session:
        assert queue.find_resume(session, runs.find(session, run_id)) is None
        assert runs.shown_epochs(session, run_id) == []
    say(state, second, started(), epoch(1, 0.3))
    with state.records.read() as session:
        assert [(row.epoch, row.attempt) for row in runs.shown_epochs(session, run_id)] == [(1, 2)]
    assert found(state, run_id).best_val_accuracy == 0.3


def test_a_holder_of_the_old_trail_does_not_come_back_after_a_retry_from_scratch(state: State):
    run_id, _ = held = held_run(state)
    rescue(state, held)
    cancel(state, run_id)
    retry(state, run_id, "scratch")

    with pytest.raises(Conflict):
        beat(state, held)
    assert found(state, run_id).status == "queued"


def test_a_cancelled_run_can_be_tried_again(state: State):
    run_id = launch(state)
    cancel(state, run_id)
    retry(state, run_id)

    assert claim(state) == (run_id, 1)


# deaths


@pytest.mark.parametrize("failure", ["killed", "hang", "device_lost", "input_broken"])
def test_a_death_that_may_not_be_its_own_fault_sends_a_run_back_to_the_queue(state: State, failure: str):
    run_id, _ = held = held_run(state)
    finish(state, held, "failed", exit_code=-9, failure=failure, reason="It died.")

    run, attempt = found(state, run_id), attempt_of(state, run_id)
    assert (run.status, run.strikes, run.failure, run.reason, run.ended_at) == ("queued", 1, None, None, None)
    assert (attempt.outcome, attempt.failure, attempt.reason) == ("failed", failure, "It died.")


@pytest.mark.parametrize("failure", ["diverged", "out_of_memory", "out_of_host_memory", "recipe", "error", None])
def test_a_failure_of_its_own_ends_a_run_at_once(state: State, failure: str | None):
    run_id, _ = held = held_run(state)
    finish(state, held, "failed", exit_code=1, failure=failure, reason="It broke.", hint="Mend it.")

    run = found(state, run_id)
    assert (run.status, run.failure, run.reason, run.hint) == ("failed", failure, "It broke.", "Mend it.")
    assert run.ended_at == NOW


def test_what_the_child_said_of_its_failure_decides_and_not_its_exit_code(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), {"event": "failed", "kind": "device_lost", "message": "The GPU is gone."})
    finish(state, held, "failed", exit_code=1, reason="The trainer ended with exit code 1.")

    assert (found(state, run_id).status, found(state, run_id).reason) == ("queued", None)
    assert attempt_of(state, run_id).reason == "The GPU is gone."


def test_three_deaths_in_a_row_without_a_new_checkpoint_end_a_run_with_the_reason(state: State):
    run_id = launch(state)
    for _ in range(3):
        held = claim(state)
        assert held is not None
        finish(state, held, "failed", exit_code=-11, failure="killed", reason="SIGSEGV.")

    run = found(state, run_id)
    assert (run.status, run.failure) == ("failed", "killed")
    assert run.reason is not None
    assert run.reason.startswith("SIGSEGV.")
    assert "third time in a row without a new checkpoint" in run.reason


def test_a_new_checkpoint_forgives_the_deaths_before_it_and_an_old_one_does_not(state: State):
    run_id = launch(state)
    checkpoints = [1, 2, 2, 2]  # the epoch after which each attempt made its last one
    for number in checkpoints:
        held = claim(state)
        assert held is not None
        say(state, held, started(), {"event": "checkpoint", "epoch": number})
        finish(state, held, "failed", exit_code=-9, failure="killed", reason="It died.")
        run = found(state, run_id)
    assert run.status == "failed"  # the second checkpoint after epoch 2 was no progress, nor the third
    assert run.attempt == len(checkpoints)

    retry(state, run_id)
    assert found(state, run_id).strikes == 0


# for whom a run is kept


def test_a_run_waits_for_the_worker_that_has_its_newest_checkpoint(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1), {"event": "checkpoint", "epoch": 1})
    finish(state, held, "released")
    other = launch(state)

    assert found(state, run_id).kept_for == "ada"
    with state.records.write() as session:
        bob, ada = (queue.ClaimingWorker(name, "cpu", ["tensorflow"]) for name in ("bob", "ada"))
        theirs = queue.claim(session, bob, NOW, lambda run, attempt: True)
        ours = queue.claim(session, ada, NOW, lambda run, attempt: True)
        assert theirs is not None
        assert ours is not None
        assert (theirs.id, ours.id, ours.kept_for) == (other, run_id, None)


def test_a_run_that_nobody_has_a_checkpoint_of_is_anybodys(state: State):
    run_id, _ = held = held_run(state)
    finish(state, held, "released")

    assert found(state, run_id).kept_for is None


def test_the_rows_that_are_known_end_at_the_first_gap(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1), epoch(2), epoch(4))
    finish(state, held, "released")
    claim(state)

    with state.records.read() as session:
        where = queue.find_resume(session, runs.find(session, run_id))
    assert where is not None
    assert where.known_epoch == 2
