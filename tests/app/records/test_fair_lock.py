"""One at a time, in the order of coming; and no crowd behind something that is stuck."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import Busy
from app.records.fair_lock import MAX_WAITING_THREADS, STUCK_S, FairLock
from tests.app.support.cast import until


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def take(turns: FairLock, ends: float) -> float:
    """Seconds until the turn came, or until it was refused."""
    began = time.monotonic()
    try:
        with turns.turn(ends):
            pass
    except Busy:
        return -(time.monotonic() - began)
    return time.monotonic() - began


def test_turns_are_taken_one_at_a_time_in_the_order_of_coming():
    turns, order, inside = FairLock(), [], []

    def take_number(number: int) -> None:
        with turns.turn(soon()):
            inside.append(number)
            assert inside == [number]
            order.append(number)
            inside.remove(number)

    threads = []
    with turns.turn(soon()):
        for number in range(20):
            threads.append(threading.Thread(target=take_number, args=(number,)))
            threads[-1].start()
            until(lambda: len(turns._queue) == number + 1)  # noqa: B023  # used here
            if number + 1 == MAX_WAITING_THREADS:
                break
    for thread in threads:
        thread.join()

    assert order == list(range(MAX_WAITING_THREADS))


def test_who_has_just_had_a_turn_does_not_overtake_those_who_wait():
    turns, order = FairLock(), []

    def greedy() -> None:
        for number in range(5):
            with turns.turn(soon()):
                order.append("greedy")
                if number == 0:
                    until(lambda: turns._queue)

    first = threading.Thread(target=greedy)
    first.start()
    until(lambda: order)
    with turns.turn(soon()):
        order.append("other")
    first.join()

    assert order.index("other") == 1


def test_behind_a_turn_that_is_stuck_a_few_wait_and_the_others_are_refused_at_once():
    turns = FairLock()
    with ThreadPoolExecutor(60) as pool:
        with turns.turn(soon()):
            early = [pool.submit(take, turns, soon()) for _ in range(40)]
            until(lambda: sum(future.done() for future in early) == 40 - MAX_WAITING_THREADS)
            late = [pool.submit(take, turns, soon()) for _ in range(10)]
            assert all(-30 < future.result() < 0 for future in late), "they do not wait for their end"
            assert len(turns._queue) == MAX_WAITING_THREADS

        waited = sorted(future.result() for future in early)
        surplus, others = waited[:-MAX_WAITING_THREADS], waited[-MAX_WAITING_THREADS:]
        assert all(-30 < seconds < 0 for seconds in surplus), "nor do these"
        assert min(others) >= 0
    assert take(turns, soon()) >= 0


def test_a_turn_that_does_not_come_until_its_end_is_refused():
    turns = FairLock()
    with ThreadPoolExecutor(1) as pool, turns.turn(soon()):
        assert -30 < pool.submit(lambda: take(turns, soon(0.6))).result() < -0.5
    assert take(turns, soon()) >= 0


def test_without_anything_stuck_any_number_may_wait():
    turns = FairLock(stuck_s=60)
    with ThreadPoolExecutor(60) as pool:
        with turns.turn(soon()):
            futures = [pool.submit(take, turns, soon()) for _ in range(60)]
            until(lambda: len(turns._queue) == 60)
        assert all(future.result() >= 0 for future in futures)


def test_turns_that_come_to_nothing_one_after_the_other_count_as_one_that_is_stuck():
    turns = FairLock()
    ends = soon(STUCK_S * 2)
    while time.monotonic() < ends:
        with pytest.raises(Busy), turns.turn(soon()):
            time.sleep(STUCK_S / 3)
            raise Busy

    assert turns._is_stuck()
    assert take(turns, soon()) >= 0
    assert not turns._is_stuck()


def test_an_error_in_a_turn_passes_it_on():
    turns = FairLock()
    with pytest.raises(ValueError), turns.turn(soon()):
        raise ValueError

    assert take(turns, soon()) >= 0
