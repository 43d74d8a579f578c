"""Who holds a run, on the records: the fence, rescue, and runs of two attempts."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.errors import Conflict
from app.records.models import Epoch, Event
from app.runs import runs
from app.web.deps import State
from tests.app.support.cast import NOW, claim, epoch, launch, started
from tests.app.support.queue_verbs import attempt_of, beat, finish, found, held_run, kinds, rescue, say

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
    assert "third time" in (run.reason or "")
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


# two attempts


def test_the_curve_takes_each_epoch_from_the_highest_attempt(state: State):
    run_id, _ = first = held_run(state, target_accuracy=0.8)
    say(state, first, started(), epoch(1, 0.3, 2.0), epoch(2, 0.9, 2.0), epoch(3, 0.5, 2.0))
    rescue(state, first)
    second = claim(state, "bob")
    assert second == (run_id, 2)
    say(state, second, started(resumed_from_epoch=1), epoch(2, 0.4, 5.0))

    with state.records.read() as session:
        shown = [(row.epoch, row.attempt, row.val_accuracy) for row in runs.shown_epochs(session, run_id)]
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
