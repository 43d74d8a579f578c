"""A run that goes well, on the records: claims, reports, the end, and what its columns say afterwards."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from app.errors import Conflict
from app.records import outbox
from app.records.models import Event
from app.runs import runs
from app.web.deps import State
from app.workers import reports
from tests.app.support.cast import NOW, claim, epoch, events, launch, started, step
from tests.app.support.queue_verbs import attempt_of, beat, cancel, finish, found, held_run, kinds, say

# claims


def test_runs_are_claimed_by_priority_and_then_by_age(state: State):
    old, urgent, new, later = (launch(state, priority=priority) for priority in (0, 5, 0, -1))

    order = [held[0] for held in iter(lambda: claim(state), None)]

    assert order == [urgent, old, new, later]


def test_a_claim_takes_only_what_its_backends_can_run(state: State):
    run_id = launch(state)

    assert claim(state, backends=("jax",)) is None
    assert found(state, run_id).status == "queued"
    assert claim(state, backends=("jax", "tensorflow")) == (run_id, 1)


def test_workers_that_claim_at_once_never_get_the_same_run(state: State):
    launched = {launch(state) for _ in range(20)}
    claims: list[tuple[int, int]] = []

    def work(name: str) -> None:
        while (held := claim(state, name)) is not None:
            claims.append(held)

    threads = [threading.Thread(target=work, args=(f"worker {index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claims) == 20
    assert {run for run, _ in claims} == launched


def test_a_claim_says_who_works_on_the_run(state: State):
    run_id, number = held_run(state)

    attempt = attempt_of(state, run_id)
    assert (number, attempt.worker, attempt.outcome, attempt.claimed_at) == (1, "ada", None, NOW)
    assert found(state, run_id).status == "starting"
    assert kinds(state, run_id) == ["status", "status"]


# reports


def test_a_report_becomes_rows_and_the_run_s_numbers(state: State):
    held = held_run(state, target_accuracy=0.8)

    next_seq = say(state, held, started(), epoch(1, 0.5, 2.0), epoch(2, 0.9, 3.0), epoch(3, 0.7, 2.5))

    run = found(state, held[0])
    assert next_seq == 4
    assert (run.status, run.started_at) == ("running", NOW)
    assert (run.last_epoch, run.last_val_accuracy, run.best_val_accuracy, run.best_epoch) == (3, 0.7, 0.9, 2)
    assert (run.elapsed_seconds, run.spent_seconds, run.time_to_target) == (7.5, 7.5, 5.0)
    assert kinds(state, held[0]) == ["status", "status", "status", "started", "epoch", "epoch", "epoch"]


def test_what_arrives_twice_is_stored_once(state: State):
    held = held_run(state)
    said = [started(), epoch(1), epoch(2), epoch(3)]
    say(state, held, *said[:3])

    assert say(state, held, *said[:3]) == 3
    assert say(state, held, *said, first=0) == 4
    assert say(state, held, said[1], first=1) == 4

    assert kinds(state, held[0]).count("epoch") == 3
    assert found(state, held[0]).spent_seconds == 6.0


def test_after_a_gap_nothing_is_taken_and_the_answer_says_where_to_go_on(state: State):
    held = held_run(state)
    say(state, held, started())

    assert say(state, held, epoch(2), epoch(3), first=2) == 1
    assert found(state, held[0]).last_epoch == 0
    assert say(state, held, epoch(1), epoch(2), epoch(3), first=1) == 4
    assert found(state, held[0]).last_epoch == 3


def test_steps_are_published_but_never_stored(state: State):
    held = held_run(state)
    with state.records.write() as session:
        answer = reports.store_report(session, *held, 0, events(started(), step(3), step(4)), NOW)[0]
        published = [one for one in outbox.recorded(session) if one.event == "step"]

    assert answer == 3
    assert [one.id for one in published] == [None, None]
    assert [one.data["step"] for one in published] == [3, 4]
    assert "step" not in kinds(state, held[0])


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_an_epoch_whose_numbers_are_none_is_kept_with_nulls(state: State, value: float | None):
    held = held_run(state)
    say(state, held, started(), epoch(1, 0.4), epoch(2, value, train_loss=value, val_loss=value), epoch(3, 0.3))

    run = found(state, held[0])
    with state.records.read() as session:
        rows = [(row.epoch, row.val_accuracy, row.val_loss is None) for row in runs.shown_epochs(session, run.id)]
        stored = [row.data["val_accuracy"] for row in session.scalars(select(Event).where(Event.kind == "epoch"))]
    assert rows == [(1, 0.4, False), (2, None, True), (3, 0.3, False)]
    assert (run.best_val_accuracy, run.best_epoch, run.last_val_accuracy) == (0.4, 1, 0.3)
    assert stored == [0.4, None, 0.3]


def test_an_epoch_that_is_said_twice_is_one_row_and_does_not_block_the_queue(state: State):
    held = held_run(state)

    next_seq = say(state, held, started(), epoch(1, 0.5), epoch(1, 0.6), epoch(2, 0.7))

    assert next_seq == 4
    with state.records.read() as session:
        assert [row.epoch for row in runs.shown_epochs(session, held[0])] == [1, 2]


def test_what_the_child_says_of_its_failure_is_the_run_s_reason(state: State):
    held = held_run(state)
    say(state, held, started(), {"event": "failed", "kind": "diverged", "message": "The loss is NaN.", "hint": "Less."})
    finish(state, held, "failed", exit_code=1, reason="The trainer ended with exit code 1.")

    run = found(state, held[0])
    assert (run.status, run.reason, run.hint) == ("failed", "The loss is NaN.", "Less.")
    assert attempt_of(state, held[0]).reason == "The trainer ended with exit code 1."


def test_without_words_of_the_child_the_worker_s_are_the_reason(state: State):
    held = held_run(state)
    finish(state, held, "failed", exit_code=-9, reason="killed")

    run = found(state, held[0])
    assert (run.status, run.reason, run.ended_at) == ("failed", "killed", NOW)
    assert attempt_of(state, held[0]).exit_code == -9


# the end


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
def test_saying_the_end_twice_changes_nothing(state: State, outcome: str):
    held = held_run(state)
    finish(state, held, outcome)
    before = kinds(state, held[0])

    finish(state, held, "failed" if outcome == "succeeded" else "succeeded")

    assert found(state, held[0]).status == outcome
    assert kinds(state, held[0]) == before


def test_after_the_end_nothing_more_is_taken(state: State):
    held = held_run(state)
    finish(state, held)

    for late in (lambda: say(state, held, started()), lambda: beat(state, held)):
        with pytest.raises(Conflict):
            late()
    assert found(state, held[0]).status == "succeeded"


def test_a_released_run_goes_back_to_the_queue_for_the_next_worker(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1))
    finish(state, held, "released")

    run = found(state, run_id)
    assert (run.status, run.ended_at, attempt_of(state, run_id).outcome) == ("queued", None, "released")
    assert claim(state, "bob") == (run_id, 2)
    with pytest.raises(Conflict):
        beat(state, held)


def test_a_run_that_is_released_while_it_is_cancelled_is_cancelled(state: State):
    run_id, _ = held = held_run(state)
    cancel(state, run_id)
    finish(state, held, "released")

    assert found(state, run_id).status == "cancelled"
    assert claim(state) is None
