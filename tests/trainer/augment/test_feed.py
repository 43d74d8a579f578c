"""Batches come in order while the next ones are prepared; what is not wanted any more is called off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from trainer.augment.loader_pool import Feed


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


def test_batches_come_in_the_order_asked_for_whichever_is_ready_first(threads: ThreadPoolExecutor):
    def slow_first(request: int) -> int:
        time.sleep(0.02 if request % 3 == 0 else 0)
        return request * 10

    with Feed(lambda request: threads.submit(slow_first, request), range(30), ahead=3) as feed:
        assert list(feed) == [(request, request * 10) for request in range(30)]


def test_fewer_requests_than_may_be_under_way_are_all_answered(threads: ThreadPoolExecutor):
    with Feed(lambda request: threads.submit(str, request), [7], ahead=5) as feed:
        assert list(feed) == [(7, "7")]
    nothing: list[int] = []
    with Feed(lambda request: threads.submit(str, request), nothing, ahead=5) as feed:
        assert not list(feed)


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_than_ahead_batches_are_under_way_and_always_as_many(ahead: int):
    asked: list[int] = []

    def prepare(request: int) -> Future[int]:
        asked.append(request)
        ready: Future[int] = Future()
        ready.set_result(request)
        return ready

    with Feed(prepare, range(20), ahead=ahead) as feed:
        assert not asked  # nothing before it is wanted
        for taken, _ in enumerate(feed, start=1):
            assert asked == list(range(min(20, taken + ahead)))


def test_the_next_batches_are_prepared_while_one_is_worked_on(threads: ThreadPoolExecutor):
    prepared = [threading.Event() for _ in range(4)]

    with Feed(lambda request: threads.submit(prepared[request].set), range(4), ahead=2) as feed:
        for request, _ in feed:
            # worked on here, in the only thread that iterates: the following two get ready all the same
            for following in range(request + 1, min(request + 3, 4)):
                assert prepared[following].wait(10)


def test_an_error_comes_out_where_the_batch_would_have_come(threads: ThreadPoolExecutor):
    def torn_at_2(request: int) -> int:
        if request == 2:
            raise ValueError("picture 2 is torn")
        return request

    seen = []
    with (
        pytest.raises(ValueError, match="picture 2"),
        Feed(lambda request: threads.submit(torn_at_2, request), range(9), ahead=4) as feed,
    ):
        for request, _ in feed:
            seen.append(request)
    assert seen == [0, 1]


def test_leaving_early_calls_off_what_has_not_begun():
    asked: list[Future[int]] = []

    def prepare(request: int) -> Future[int]:
        asked.append(Future())
        if request < 2:
            asked[-1].set_result(request)
        if request == 2:
            assert asked[-1].set_running_or_notify_cancel()
        return asked[-1]

    with pytest.raises(KeyError), Feed(prepare, range(100), ahead=4) as feed:
        for request, _ in feed:
            if request == 1:
                raise KeyError
    assert [future.cancelled() for future in asked] == [False, False, False, True, True, True]
    assert asked[2].running()  # what has begun is somebody else's to wait for


def test_nothing_is_called_off_when_all_batches_were_taken(threads: ThreadPoolExecutor):
    asked: list[Future[str]] = []

    def prepare(request: int) -> Future[str]:
        asked.append(threads.submit(str, request))
        return asked[-1]

    with Feed(prepare, range(10)) as feed:
        assert len(list(feed)) == 10
    assert not any(future.cancelled() for future in asked)


def test_waiting_for_a_slow_batch_is_measured_and_working_on_one_is_not(threads: ThreadPoolExecutor):
    with Feed(lambda request: threads.submit(time.sleep, 0.1), range(4), ahead=1) as feed:
        list(feed)
    assert 0.3 < feed.waited < 3
    with Feed(lambda request: threads.submit(str, request), range(4), ahead=4) as quick:
        for _ in quick:
            time.sleep(0.1)
    assert quick.waited < 0.3
