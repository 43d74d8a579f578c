"""Leases on a clock of their own: nothing here waits."""

from __future__ import annotations

import pytest

from app.live.leases import LEASE_S, PRESENT_S, RESTART_GRACE_S, Leases
from app.timing import Timing
from tests.app.support.cast import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(clock)


def test_a_lease_lapses_after_its_time_and_not_before(leases: Leases, clock: Clock):
    leases.grant(1, 1)

    clock.seconds += LEASE_S
    assert leases.lapsed() == []
    clock.seconds += 0.001
    assert leases.lapsed() == [(1, 1)]


def test_granting_again_starts_the_time_anew(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    for _ in range(10):
        clock.seconds += LEASE_S - 0.1
        leases.grant(1, 1)

    assert leases.lapsed() == []


def test_a_lapsed_lease_is_taken_out_once_and_a_beat_after_that_begins_a_new_one(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    clock.seconds += 2 * LEASE_S

    assert leases.lapsed() == [(1, 1)]
    assert leases.lapsed() == []
    leases.grant(1, 1)
    clock.seconds += 2 * LEASE_S
    assert leases.lapsed() == [(1, 1)]


def test_a_lease_that_was_ended_never_lapses(leases: Leases, clock: Clock):
    leases.grant(1, 1)

    leases.end(1, 1)
    leases.end(1, 1)  # twice is harmless
    clock.seconds += 2 * LEASE_S

    assert leases.lapsed() == []


def test_attempts_are_apart(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    clock.seconds += LEASE_S - 1
    leases.grant(1, 2)
    leases.grant(2, 1)
    clock.seconds += 2

    assert leases.lapsed() == [(1, 1)]


def test_after_a_restart_every_holder_gets_time_to_come_back(leases: Leases, clock: Clock):
    leases.restore([(1, 1), (2, 5)])

    clock.seconds += RESTART_GRACE_S - 0.1
    leases.grant(2, 5)  # this one came back
    clock.seconds += 0.2

    assert leases.lapsed() == [(1, 1)]


def test_the_grace_after_a_restart_is_longer_than_a_lease():
    assert RESTART_GRACE_S > LEASE_S


def test_a_worker_is_present_for_three_beats_after_it_spoke(leases: Leases, clock: Clock):
    assert not leases.is_present("ada")
    leases.mark_seen("ada")

    clock.seconds += PRESENT_S - 0.1
    assert leases.is_present("ada")
    assert not leases.is_present("bob")
    clock.seconds += 0.2
    assert not leases.is_present("ada")


def test_a_worker_that_waits_for_work_is_present_however_long_it_waits(leases: Leases, clock: Clock):
    leases.mark_waiting("ada", waits=True)
    clock.seconds += 3600
    assert leases.is_present("ada")

    leases.mark_waiting("ada", waits=False)
    assert leases.is_present("ada")
    clock.seconds += PRESENT_S + 0.1
    assert not leases.is_present("ada")


def test_two_waits_of_one_name_are_counted(leases: Leases, clock: Clock):
    leases.mark_waiting("ada", waits=True)
    leases.mark_waiting("ada", waits=True)
    leases.mark_waiting("ada", waits=False)
    clock.seconds += 60

    assert leases.is_present("ada")


def test_a_clock_that_begins_at_zero_shows_nobody(clock: Clock):
    clock.seconds = 0.0

    assert not Leases(clock).is_present("ada")


def test_time_in_which_the_app_itself_stood_still_does_not_count(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    clock.seconds += 60
    leases.extend_all(59.5)

    assert leases.lapsed() == []
    clock.seconds += LEASE_S
    assert leases.lapsed() == [(1, 1)]


def test_a_rescue_in_vain_does_not_shorten_a_lease_that_was_renewed_meanwhile(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    leases.grant(2, 1)
    clock.seconds += LEASE_S + 1
    assert leases.lapsed() == [(1, 1), (2, 1)]
    leases.grant(1, 1)
    for held in ((1, 1), (2, 1)):
        leases.give_back(*held, seconds=0.5)

    assert leases.holds(1, 1)
    clock.seconds += 1
    assert leases.lapsed() == [(2, 1)]


def test_a_run_is_kept_from_when_somebody_else_asks_and_once_only(leases: Leases, clock: Clock):
    assert leases.is_kept(1, 1)
    assert leases.has_reservations
    clock.seconds += Timing().checkpoint_holder_first_s - 0.1
    assert leases.is_kept(1, 1)
    clock.seconds += 0.2
    assert not leases.is_kept(1, 1)
    clock.seconds += 3600
    assert not leases.is_kept(1, 1)
    assert not leases.has_reservations
    leases.grant(1, 2)
    assert leases.is_kept(1, 2)  # of its next attempt


def test_a_holder_is_silent_after_three_beats_and_that_is_told_once_each_way(leases: Leases, clock: Clock):
    leases.grant(1, 1)
    assert (leases.is_silent(1, 1), leases.pop_changed_silence()) == (False, [])
    clock.seconds += PRESENT_S + 0.1
    assert leases.is_silent(1, 1)
    assert leases.pop_changed_silence() == [(1, 1)]
    assert leases.pop_changed_silence() == []
    leases.grant(1, 1)
    assert leases.pop_changed_silence() == [(1, 1)]
