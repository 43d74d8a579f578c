"""What workers do, on the records: claims, the fence, rescue, and what a run's columns say afterwards."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from app import run_queue, runs
from app.models import Attempt, Epoch, Event, Run
from app.problems import Conflict
from app.state import State
from tests.app.cast import NOW, claim, epoch, events, launch, started, step


def say(state: State, held: tuple[int, int], *said: dict[str, Any], first: int = 0) -> int:
    with state.records.write() as session:
        return run_queue.report(session, *held, first, events(*said), NOW)


def finish(state: State, held: tuple[int, int], outcome: Any = "succeeded", **more: Any) -> None:
    with state.records.write() as session:
        run_queue.finish(session, *held, outcome, NOW, **more)


def beat(state: State, held: tuple[int, int]) -> str:
    with state.records.write() as session:
        return run_queue.beat(session, *held, NOW)


def rescue(state: State, *held: tuple[int, int]) -> None:
    with state.records.write() as session:
        run_queue.rescue(session, held, NOW)


def cancel(state: State, run_id: int) -> None:
    with state.records.write() as session:
        runs.cancel(session, run_id, NOW)


def found(state: State, run_id: int) -> Run:
    with state.records.read() as session:
        run = runs.find(session, run_id)
        session.expunge(run)
        return run


def attempt_of(state: State, run_id: int, number: int = 1) -> Attempt:
    with state.records.read() as session:
        attempt = session.get_one(Attempt, (run_id, number))
        session.expunge(attempt)
        return attempt


def kinds(state: State, run_id: int) -> list[str]:
    with state.records.read() as session:
        return list(session.scalars(select(Event.kind).where(Event.run_id == run_id).order_by(Event.id)))


def held_run(state: State, **recipe: Any) -> tuple[int, int]:
    launch(state, recipe)
    held = claim(state)
    assert held is not None
    return held


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


def test_steps_are_told_but_never_stored(state: State):
    held = held_run(state)
    with state.records.write() as session:
        answer = run_queue.report(session, *held, 0, events(started(), step(3), step(4)), NOW)
        told = [one for one in session.info["told"] if one["event"] == "step"]

    assert answer == 3
    assert [one["id"] for one in told] == [None, None]
    assert [one["data"]["step"] for one in told] == [3, 4]
    assert "step" not in kinds(state, held[0])


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_an_epoch_whose_numbers_are_none_is_kept_with_nulls(state: State, value: float | None):
    held = held_run(state)
    say(state, held, started(), epoch(1, 0.4), epoch(2, value, train_loss=value, val_loss=value), epoch(3, 0.3))

    run = found(state, held[0])
    with state.records.read() as session:
        rows = [(row.epoch, row.val_accuracy, row.val_loss is None) for row in runs.epochs_of(session, run.id)]
        stored = [row.data["val_accuracy"] for row in session.scalars(select(Event).where(Event.kind == "epoch"))]
    assert rows == [(1, 0.4, False), (2, None, True), (3, 0.3, False)]
    assert (run.best_val_accuracy, run.best_epoch, run.last_val_accuracy) == (0.4, 1, 0.3)
    assert stored == [0.4, None, 0.3]


def test_an_epoch_that_is_said_twice_is_one_row_and_does_not_block_the_queue(state: State):
    held = held_run(state)

    next_seq = say(state, held, started(), epoch(1, 0.5), epoch(1, 0.6), epoch(2, 0.7))

    assert next_seq == 4
    with state.records.read() as session:
        assert [row.epoch for row in runs.epochs_of(session, held[0])] == [1, 2]


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


# the fence


def test_an_attempt_that_never_was_is_refused(state: State):
    run_id, _ = held_run(state)

    for nobody in ((run_id, 0), (run_id, 2), (run_id + 1, 1)):
        with pytest.raises(Conflict):
            beat(state, nobody)


def test_a_worker_that_fell_silent_loses_its_run_to_the_queue(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1))

    rescue(state, held)

    run, attempt = found(state, run_id), attempt_of(state, run_id)
    assert (run.status, run.last_epoch) == ("queued", 1)
    assert (attempt.outcome, attempt.ended_at) == ("lost", NOW)
    before = kinds(state, run_id)
    rescue(state, held)
    assert kinds(state, run_id) == before


def test_a_holder_that_comes_back_before_another_claim_goes_on_under_its_number(state: State):
    run_id, _ = held = held_run(state)
    say(state, held, started(), epoch(1))
    rescue(state, held)

    assert beat(state, held) == "none"
    assert say(state, held, epoch(2), first=2) == 3

    run, attempt = found(state, run_id), attempt_of(state, run_id)
    assert (run.status, run.attempt, run.last_epoch) == ("running", 1, 2)
    assert (attempt.outcome, attempt.ended_at, attempt.reason) == (None, None, None)
    assert claim(state) is None


def test_a_holder_that_had_not_started_comes_back_as_starting(state: State):
    run_id, _ = held = held_run(state)
    rescue(state, held)
    beat(state, held)

    assert found(state, run_id).status == "starting"


def test_a_lost_holder_may_even_finish_while_nobody_else_has_the_run(state: State):
    run_id, _ = held = held_run(state)
    rescue(state, held)
    finish(state, held)

    assert found(state, run_id).status == "succeeded"
    assert attempt_of(state, run_id).outcome == "succeeded"


def test_a_zombie_that_lost_its_run_is_refused(state: State):
    run_id, _ = zombie = held_run(state)
    say(state, zombie, started(), epoch(1, 0.1))
    rescue(state, zombie)
    new = claim(state, "bob")
    assert new == (run_id, 2)
    before = kinds(state, run_id)

    refused = [
        lambda: say(state, zombie, epoch(2, 0.99), first=2),
        lambda: beat(state, zombie),
        lambda: finish(state, zombie),
    ]
    for verb in refused:
        with pytest.raises(Conflict, match="no longer yours"):
            verb()

    assert kinds(state, run_id) == before
    assert (found(state, run_id).status, attempt_of(state, run_id, 1).outcome) == ("starting", "lost")
    assert beat(state, new) == "none"


def test_a_rescue_that_comes_too_late_does_not_touch_the_next_attempt(state: State):
    run_id, _ = first = held_run(state)
    finish(state, first, "released")
    second = claim(state, "bob")
    assert second is not None

    rescue(state, first)

    assert found(state, run_id).status == "starting"
    assert attempt_of(state, run_id, 1).outcome == "released"
    assert beat(state, second) == "none"


def test_a_run_that_took_three_workers_down_is_failed(state: State):
    run_id = launch(state)
    for number in (1, 2, 3):
        held = claim(state)
        assert held == (run_id, number)
        rescue(state, held)

    run = found(state, run_id)
    assert run.status == "failed"
    assert "3 times" in (run.reason or "")
    assert run.hint
    assert claim(state) is None
    with pytest.raises(Conflict):
        beat(state, (run_id, 3))


def test_handing_back_costs_no_attempt(state: State):
    run_id = launch(state)
    for _ in range(5):
        held = claim(state)
        assert held is not None
        finish(state, held, "released")

    assert found(state, run_id).status == "queued"


# cancelling


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

    with pytest.raises(Conflict, match=f"already {outcome}"):
        cancel(state, run_id)


# two attempts


def test_the_curve_takes_each_epoch_from_the_highest_attempt(state: State):
    run_id, _ = first = held_run(state, target_accuracy=0.8)
    say(state, first, started(), epoch(1, 0.3, 2.0), epoch(2, 0.9, 2.0), epoch(3, 0.5, 2.0))
    rescue(state, first)
    second = claim(state, "bob")
    assert second == (run_id, 2)
    say(state, second, started(resumed_from_epoch=1), epoch(2, 0.4, 5.0))

    with state.records.read() as session:
        shown = [(row.epoch, row.attempt, row.val_accuracy) for row in runs.epochs_of(session, run_id)]
        stored = session.scalars(select(Epoch).where(Epoch.run_id == run_id)).all()
    run = found(state, run_id)
    assert shown == [(1, 1, 0.3), (2, 2, 0.4), (3, 1, 0.5)]
    assert len(stored) == 4
    assert (run.best_val_accuracy, run.best_epoch) == (0.5, 3)  # 0.9 was superseded
    assert run.time_to_target is None
    assert (run.elapsed_seconds, run.spent_seconds) == (9.0, 11.0)
    assert (run.last_epoch, attempt_of(state, run_id, 2).resumed_from_epoch) == (2, 1)


def test_each_attempt_counts_its_own_events(state: State):
    run_id, _ = first = held_run(state)
    say(state, first, started(), epoch(1))
    finish(state, first, "released")
    second = claim(state)
    assert second is not None

    assert say(state, second, started(), epoch(1), epoch(2)) == 3
    assert kinds(state, run_id).count("epoch") == 3


def test_event_ids_rise_and_are_never_used_again(state: State):
    first, second = held_run(state), launch(state)
    say(state, first, started(), epoch(1))
    with state.records.write() as session:
        ids = list(session.scalars(select(Event.id).order_by(Event.id)))
        runs.remove(session, second)
    launch(state)

    with state.records.read() as session:
        newest = session.scalars(select(Event.id).order_by(Event.id.desc())).first()
    assert ids == sorted(set(ids))
    assert newest is not None
    assert newest > max(ids)
