"""Batches come in order from a thread that ends with its context, whatever happens."""

from __future__ import annotations

import threading
import time

import pytest

from trainer.augment.feed import Feed


def feed_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "feed"]


def test_batches_come_in_the_order_asked_for():
    with Feed(lambda request: request * 10, range(50)) as feed:
        assert list(feed) == [request * 10 for request in range(50)]
    assert not feed_threads()


def test_no_more_than_two_batches_are_prepared_ahead():
    prepared: list[int] = []
    with Feed(prepared.append, range(100)) as feed:
        next(iter(feed))
        time.sleep(0.3)
        assert len(prepared) <= 4  # one taken, two waiting, one in the making


def test_an_error_comes_out_where_the_batch_would_have_come():
    def prepare(request: int) -> int:
        if request == 2:
            raise ValueError("picture 2 is torn")
        return request

    seen = []
    with pytest.raises(ValueError, match="picture 2"), Feed(prepare, range(5)) as feed:
        for batch in feed:
            seen.append(batch)
    assert seen == [0, 1]
    assert not feed_threads()


def test_leaving_early_ends_the_thread():
    with pytest.raises(KeyError), Feed(lambda request: request, range(1000)) as feed:
        for _ in feed:
            raise KeyError
    assert not feed_threads()


def test_waiting_for_a_slow_thread_is_measured():
    def slowly(request: int) -> int:
        time.sleep(0.05)
        return request

    with Feed(slowly, range(6)) as feed:
        list(feed)
    assert 0.2 < feed.waited < 2
