"""The spool delivers a child's events and log in order, exactly once."""

from __future__ import annotations

import itertools
import json
import threading
import time

import pytest

from trainer.worker.spool import BATCH_EVENTS, BATCH_LOG, MAX_LOG, Batch, Spool


def line(kind: str = "epoch", **more: object) -> str:
    return json.dumps({"event": kind} | more)


def taken(spool: Spool) -> Batch:
    batch = spool.next_batch(0)
    assert batch is not None
    return batch


def drained(spool: Spool) -> tuple[list[dict], str, list[Batch]]:
    """All events, the whole log, and the batches that they came in."""
    events, log, batches = [], "", []
    while (batch := spool.next_batch(0)) is not None:
        spool.mark_delivered(batch)
        events += batch.events
        log += batch.log
        batches.append(batch)
    return events, log, batches


def test_events_and_log_come_out_in_order_with_their_places():
    spool = Spool(together_s=0)
    for number in range(3):
        spool.add_event(line(epoch=number))
    spool.add_log("größer\n")

    first = taken(spool)
    spool.mark_delivered(first)
    spool.add_event(line(epoch=3))
    spool.add_log("more\n")
    second = taken(spool)

    assert (first.first_seq, [event["epoch"] for event in first.events], first.log_offset) == (0, [0, 1, 2], 0)
    assert (second.first_seq, [event["epoch"] for event in second.events]) == (3, [3])
    assert (second.log_offset, second.log) == (len("größer\n".encode()), "more\n")


def test_a_batch_comes_again_until_it_is_delivered_even_when_more_arrives():
    spool = Spool(together_s=0)
    spool.add_event(line(epoch=1))
    spool.add_log("a")
    first = taken(spool)
    spool.add_event(line(epoch=2))
    spool.add_log("b")

    again = taken(spool)

    assert again.first_seq == first.first_seq
    assert again.events[: len(first.events)] == first.events
    assert again.log.startswith(first.log)
    assert again.log_offset == first.log_offset


def test_what_arrives_while_a_batch_is_under_way_follows_it():
    spool = Spool(together_s=0)
    spool.add_event(line(epoch=1))
    spool.add_log("a")
    batch = taken(spool)
    spool.add_event(line(epoch=2))
    spool.add_log("b")
    spool.mark_delivered(batch)

    events, log, _ = drained(spool)

    assert ([event["epoch"] for event in events], log) == ([2], "b")


def test_a_step_that_nobody_has_seen_gives_way_to_a_later_one():
    spool = Spool(together_s=0)
    for number in range(5):
        spool.add_event(line("step", step=number))
    spool.add_event(line("epoch", epoch=1))
    spool.add_event(line("step", step=9))

    events, _, _ = drained(spool)

    assert [(event["event"], event.get("step")) for event in events] == [("step", 4), ("epoch", None), ("step", 9)]


def test_a_step_that_is_under_way_does_not_change_any_more():
    spool = Spool(together_s=0)
    spool.add_event(line("step", step=1))
    batch = taken(spool)
    spool.add_event(line("step", step=2))
    spool.mark_delivered(batch)

    assert batch.events[0]["step"] == 1
    events, _, batches = drained(spool)
    assert ([event["step"] for event in events], batches[0].first_seq) == ([2], 1)


def test_many_events_are_cut_into_batches_without_loss():
    spool = Spool(together_s=0)
    for number in range(3 * BATCH_EVENTS + 7):
        spool.add_event(line(epoch=number))

    events, _, batches = drained(spool)

    assert [event["epoch"] for event in events] == list(range(3 * BATCH_EVENTS + 7))
    assert [batch.first_seq for batch in batches] == [0, BATCH_EVENTS, 2 * BATCH_EVENTS, 3 * BATCH_EVENTS]


@pytest.mark.parametrize("letter", ["x", "é", "🏎", "\x00", "\n"])
def test_a_long_log_is_cut_into_pieces_whose_json_stays_below_the_app_s_limit(letter: str):
    spool = Spool(together_s=0)
    text = letter * (3 * BATCH_LOG + 5)
    for start in range(0, len(text), 7000):
        spool.add_log(text[start : start + 7000])

    _, log, batches = drained(spool)

    assert log == text
    assert len(batches) > 3
    for before, after in itertools.pairwise(batches):
        assert after.log_offset == before.log_offset + len(before.log.encode())
    assert max(len(json.dumps({"log": batch.log}).encode()) for batch in batches) < 1024 * 1024 or letter == "🏎"
    assert max(len(json.dumps({"log": batch.log}, ensure_ascii=False).encode()) for batch in batches) < 900 * 1024


def test_a_log_without_end_is_cut_and_says_so():
    spool = Spool(together_s=0)
    for _ in range(10 * 1024):
        spool.add_log("x" * 1023 + "\n")

    _, log, _ = drained(spool)

    assert MAX_LOG <= len(log) < MAX_LOG + 4096
    assert log.endswith("… the log is cut here, at 8 MiB\n")
    assert log.count("cut here") == 1


def test_what_is_not_an_event_goes_to_the_log():
    spool = Spool(together_s=0)
    for text in ("Epoch 1/5", "[1, 2]", "3", "null", '{"epoch": 1}', "{", '"event"'):
        spool.add_event(text)

    events, log, _ = drained(spool)

    assert events == []
    assert "Epoch 1/5" in log
    assert '{"epoch": 1}' in log


def test_lines_of_no_event_stay_lines():
    spool = Spool(together_s=0)
    spool.add_event("first")
    spool.add_event("second")

    assert drained(spool)[1].split() == ["first", "second"]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"event": "epoch", "x": ' + "[" * 100_000,
        '{"event": "epoch", "x": ' + "9" * 5000 + "}",
        '{"event": "epoch", "x": NaN}',
        '{"event": "epoch", "x": "\\ud800"}',
        '{"event": {}}',
        '{"event": null}',
    ],
    ids=["deep", "deep event", "digits", "NaN", "surrogate", "object", "null"],
)
def test_a_line_that_json_cannot_carry_is_not_an_event(text: str):
    spool = Spool(together_s=0)
    spool.add_event(text)
    spool.add_event(line(epoch=1))

    events, _, _ = drained(spool)

    assert json.dumps(events, allow_nan=False, ensure_ascii=False).encode()
    assert events[-1] == {"event": "epoch", "epoch": 1}
    assert all(isinstance(event["event"], str) for event in events)


def test_progress_bars_become_lines():
    spool = Spool(together_s=0)
    spool.add_log("10 %\r20 %\r\nnext\n")

    assert drained(spool)[1] == "10 %\n20 %\nnext\n"


def test_it_is_done_when_it_is_closed_and_everything_is_delivered():
    spool = Spool(together_s=0)
    spool.add_event(line())
    assert not spool.done
    spool.close()
    assert not spool.done

    spool.mark_delivered(taken(spool))

    assert spool.done
    assert spool.next_batch(10) is None  # at once


def test_taking_waits_for_something_to_come():
    spool = Spool(together_s=0)
    assert spool.next_batch(0.01) is None
    threading.Timer(0.05, lambda: spool.add_event(line(epoch=1))).start()

    batch = spool.next_batch(10)

    assert batch is not None
    assert len(batch.events) == 1


def test_steps_and_log_lines_wait_for_each_other_but_an_epoch_does_not_wait():
    spool = Spool(together_s=1.0)
    spool.add_event('{"event": "step", "step": 1}')
    first = spool.next_batch(5.0)
    assert first is not None
    spool.mark_delivered(first)

    began = time.monotonic()
    spool.add_event('{"event": "step", "step": 2}')
    spool.add_log("a line\n")
    together = spool.next_batch(5.0)
    assert together is not None and together.events and together.log
    assert time.monotonic() - began >= 0.7
    spool.mark_delivered(together)
    spool.add_event('{"event": "epoch", "epoch": 1}')
    began = time.monotonic()

    assert spool.next_batch(5.0) is not None
    assert time.monotonic() - began < 0.7
