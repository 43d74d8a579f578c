"""Server-sent events from a real server: nothing is lost, nothing comes twice, nobody holds up anybody."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.live.events import WAITING_EVENTS
from app.records import outbox
from app.records.models import Event
from app.runs import runs
from app.web.deps import State
from tests.app.support.cast import NOW, Hand, Site, claim, epoch, launch, site_in, started, step, until


def messages(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Events as an EventSource sees them: id (None where it has none), event, data."""
    message: dict[str, Any] = {"id": None}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "":
            if "data" in message:
                yield message
            message = {"id": None}
        elif name == "id":
            message["id"] = int(value)
        elif name == "data":
            message["data"] = json.loads(value)
        elif name == "event":
            message["event"] = value


@contextmanager
def stream(
    http: httpx2.Client, address: str = "/api/v1/events", last: int | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with http.stream("GET", address, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield messages(answer.iter_lines())


def first(count: int, found: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [next(found) for _ in range(count)]


def stored(state: State) -> list[int]:
    with state.records.read() as session:
        return list(session.scalars(select(Event.id).order_by(Event.id)))


def test_a_stream_replays_from_the_beginning_and_goes_on_live(site: Site, http: httpx2.Client):
    launch(site.state)
    hand = Hand(http, site.state)
    hand.claim()
    with stream(http, "/api/v1/events?after=0") as found:
        before = first(2, found)
        hand.say(started(), epoch(1, 0.5))
        after = first(3, found)

    assert [one["event"] for one in before + after] == ["status", "status", "status", "started", "epoch"]
    assert [one["data"].get("status") for one in before] == ["queued", "starting"]
    assert [one["id"] for one in before + after] == stored(site.state)
    assert (after[-1]["data"]["val_accuracy"], after[-1]["data"]["elapsed_seconds"]) == (0.5, 2.0)


def test_a_stream_of_all_begins_now_and_of_one_run_at_its_beginning(site: Site, http: httpx2.Client):
    run_id = launch(site.state, name="old")
    with stream(http) as everything, stream(http, f"/api/v1/runs/{run_id}/events") as one:
        until(lambda: site.state.hub.open_streams == 2)
        launch(site.state, name="new")
        claim(site.state)

        assert next(everything)["data"]["name"] == "new"
        assert [message["data"]["status"] for message in first(2, one)] == ["queued", "starting"]


def test_a_stream_of_one_run_carries_that_run_only(site: Site, http: httpx2.Client):
    mine, other = launch(site.state), launch(site.state)
    hands = [Hand(http, site.state, name) for name in ("a", "b")]
    assert all(hand.claim() for hand in hands)
    with stream(http, f"/api/v1/runs/{other}/events") as found:
        until(lambda: site.state.hub.open_streams == 1)
        for hand in hands:
            hand.say(started(), epoch(1), step(3, epoch=2), log="words\n")
            hand.finish(exit_code=0)
        seen: list[dict[str, Any]] = []
        while not seen or not (seen[-1]["event"] == "status" and seen[-1]["data"]["ended"]):
            seen.append(next(found))

    assert {one["data"].get("run", one["data"].get("id")) for one in seen} == {other}
    assert [one["event"] for one in seen] == [
        "status", "status", "status", "started", "epoch", "step", "log", "status",
    ]  # fmt: skip
    assert mine != other


def test_a_run_that_is_not_there_has_no_stream(site: Site, http: httpx2.Client):
    answer = http.get("/api/v1/runs/99/events")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_steps_and_logs_have_no_id(site: Site, http: httpx2.Client):
    launch(site.state)
    hand = Hand(http, site.state)
    hand.claim()
    with stream(http) as found:
        until(lambda: site.state.hub.open_streams == 1)
        hand.say(started(), step(3), log="words\n")
        ids = {one["event"]: one["id"] for one in first(4, found)}

    assert ids["step"] is ids["log"] is None
    assert isinstance(ids["started"], int)


def test_a_page_that_is_opened_in_mid_epoch_hears_where_the_run_stands(site: Site, http: httpx2.Client):
    run_id = launch(site.state)
    hand = Hand(http, site.state)
    hand.claim()
    hand.say(started(), step(7))
    with stream(http, "/api/v1/events") as everything:
        assert next(everything)["data"]["step"] == 7
    with stream(http, f"/api/v1/runs/{run_id}/events") as one:
        assert [message["event"] for message in first(5, one)][-1] == "step"


def test_a_reader_that_keeps_losing_its_connection_gets_every_event_once(site: Site, http: httpx2.Client):
    launch(site.state, {"epochs": 400})

    def write() -> None:
        with httpx2.Client(base_url=site.url) as own:
            hand = Hand(own, site.state)
            hand.claim()
            hand.say(started())
            for number in range(1, 301):
                hand.say(epoch(number))
            hand.finish(exit_code=0)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    connections, has_ended = 0, False
    while not has_ended:
        connections += 1
        with stream(http, "/api/v1/events?after=0", last=seen[-1] if seen else None) as found:
            for message in found:
                if message["id"] is not None:
                    seen.append(message["id"])
                has_ended = message["data"].get("ended", False)
                if has_ended or len(seen) % 23 == 0:
                    break
    writer.join()

    assert seen == stored(site.state)
    assert len(seen) == 305
    assert connections > 10


@pytest.mark.parametrize("last", [10**6, 10**30])
def test_an_id_of_another_database_is_answered_with_reload(site: Site, http: httpx2.Client, last: int):
    launch(site.state, name="old")
    with stream(http, last=last) as found:
        assert next(found)["event"] == "reload"
        launch(site.state, name="new")
        assert next(found)["data"]["name"] == "new"


def test_an_id_from_before_what_is_kept_is_answered_with_reload(site: Site, http: httpx2.Client):
    gone, kept = launch(site.state), launch(site.state)
    for _ in range(5):
        with site.state.records.write() as session:
            runs.edit(session, gone, {"priority": 1}, NOW)
    newest = launch(site.state)
    with site.state.records.write() as session:
        runs.remove(session, gone)
        runs.remove(session, kept)
    with stream(http, last=2) as found:
        assert next(found)["event"] == "reload"
    with stream(http, last=stored(site.state)[0]) as found:
        launch(site.state, name="next")
        assert next(found)["data"]["name"] == "next"
    assert newest > kept


@pytest.mark.parametrize("last", ["x", "-1", "1.5", ""])
def test_an_id_that_is_none_is_as_if_it_were_not_sent(site: Site, http: httpx2.Client, last: str):
    launch(site.state)
    with http.stream("GET", "/api/v1/events?after=0", headers={"Last-Event-ID": last}) as answer:
        assert next(messages(answer.iter_lines()))["id"] == 1


def test_a_client_that_does_not_read_is_dropped_and_can_come_back_for_the_rest(site: Site, http: httpx2.Client):
    run_id = launch(site.state)
    port = int(site.url.rpartition(":")[2])
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", port))
    slow.settimeout(20)
    slow.sendall(b"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    seen: list[int] = []

    with stream(http, "/api/v1/events?after=0") as fast:
        until(lambda: site.state.hub.open_streams == 2)
        for turn in range(40):  # 4,000 events of 4 KB: more than any socket's buffer and the queue together
            with site.state.records.write() as session:
                for _ in range(100):
                    outbox.store(session, run_id, None, "epoch", {"padding": "x" * 4000, "turn": turn}, NOW)
            seen += [message["id"] for message in first(101 if turn == 0 else 100, fast)]

    raw = b""
    while piece := slow.recv(1 << 20):
        raw += piece
    slow.close()
    got = [int(line[4:]) for line in raw.decode(errors="replace").splitlines() if line.startswith("id: ")][:-1]
    with stream(http, "/api/v1/events", last=got[-1]) as found:
        rest = [message["id"] for message in first(len(seen) - len(got), found)]

    assert seen == stored(site.state)
    assert len(seen) == 4001 > 3 * WAITING_EVENTS
    assert len(got) < len(seen)
    assert got + rest == seen


def test_a_stopping_server_ends_its_streams_at_once(tmp_path: Path):
    ended: list[float] = []

    def listen(url: str) -> None:
        with httpx2.Client(base_url=url, timeout=30) as own, stream(own) as found:
            list(found)
        ended.append(time.monotonic())

    with site_in(tmp_path) as site:
        listeners = [threading.Thread(target=listen, args=(site.url,)) for _ in range(5)]
        for listener in listeners:
            listener.start()
        until(lambda: site.state.hub.open_streams == 5)
        began = time.monotonic()
    stopped = time.monotonic()
    for listener in listeners:
        listener.join()

    assert stopped - began < 2
    assert len(ended) == 5
    assert max(ended) - began < 2


def test_a_client_that_leaves_is_forgotten(site: Site, http: httpx2.Client):
    with stream(http):
        until(lambda: site.state.hub.open_streams == 1)
    launch(site.state)

    until(lambda: site.state.hub.open_streams == 0)


def test_a_deleted_run_is_told_to_those_who_watch(site: Site, http: httpx2.Client):
    run_id = launch(site.state)
    with stream(http) as found:
        until(lambda: site.state.hub.open_streams == 1)
        http.delete(f"/api/v1/runs/{run_id}")

        assert next(found) == {"id": None, "event": "deleted", "data": {"id": run_id}}
