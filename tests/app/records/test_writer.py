"""Group commit: each write is rolled back alone, published in order, and on the disk when it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.records import outbox
from app.records.database import Records
from app.records.models import Attempt, Run
from app.records.outbox import OutboxEvent
from app.records.writer import MAX_BATCH
from app.web.deps import State
from tests.app.support.cast import NOW, launch
from tests.app.support.source_tree import ROOT

WRITE = """
import sys, threading
from sqlalchemy import text
from app.records.database import Records
records, lock, done = Records(sys.argv[1]), threading.Lock(), [0]
def write(key):
    records.write_grouped(lambda session: session.execute(
        text("INSERT INTO submissions VALUES (:key, 'h', '{}', '2026-01-01')"), {"key": key}))
    with lock:
        print(key, flush=True)
def many(thread):
    number = 0
    while True:
        write(f"{thread}-{number}")
        number += 1
for thread in range(8):
    threading.Thread(target=many, args=(thread,)).start()
"""

Work = Callable[[Session], Any]


@contextlib.contextmanager
def at_once(records: Records) -> Iterator[Callable[[Work], Future[Any]]]:
    """What is submitted inside waits, and is written as one group at the end."""
    with records.write():
        yield records.submit


def keep(key: str) -> Work:
    def work(session: Session) -> str:
        session.execute(text("INSERT INTO submissions VALUES (:key, 'h', '{}', '2026-01-01')"), {"key": key})
        outbox.record(session, OutboxEvent(None, 1, "log", {"key": key}))
        return key

    return work


def fail(key: str) -> Work:
    def work(session: Session) -> None:
        keep(key)(session)
        raise Conflict("not yours")

    return work


def kept(records: Records) -> list[str]:
    with records.read() as session:
        return list(session.scalars(text("SELECT key FROM submissions ORDER BY rowid")))


def test_a_failed_write_is_rolled_back_alone_and_published_to_nobody(state: State):
    heard: list[list[str]] = []
    state.records.publish = lambda published: heard.append([one.data["key"] for one in published])
    with at_once(state.records) as submit:
        futures = [submit(keep("a")), submit(keep("b")), submit(fail("c")), submit(keep("d"))]

    with pytest.raises(Conflict, match="not yours"):
        futures[2].result()
    assert [futures[i].result() for i in (0, 1, 3)] == ["a", "b", "d"]
    assert kept(state.records) == ["a", "b", "d"]
    assert heard == [["a", "b", "d"]], "all waiting writes are published at once, in their order"


def test_what_the_database_refuses_is_undone_alone_too(state: State):
    def of_no_run(session: Session) -> None:
        keep("lost")(session)
        session.add(Attempt(run_id=99, number=1, worker="w", device="d", claimed_at=NOW))

    with at_once(state.records) as submit:
        futures = [submit(keep("a")), submit(of_no_run), submit(keep("b")), submit(keep("a")), submit(keep("c"))]

    for refused in (futures[1], futures[3]):
        with pytest.raises(IntegrityError):
            refused.result()
    assert [futures[i].result() for i in (0, 2, 4)] == ["a", "b", "c"]
    assert kept(state.records) == ["a", "b", "c"]


def test_each_sees_what_the_one_before_it_wrote(state: State):
    run_id = launch(state)

    def add_one(session: Session) -> int:
        run = session.get_one(Run, run_id)
        run.priority += 1
        return run.priority

    with at_once(state.records) as submit:
        futures = [submit(add_one) for _ in range(2 * MAX_BATCH + 5)]

    assert [future.result() for future in futures] == list(range(1, 2 * MAX_BATCH + 6))


def test_sixteen_threads_and_those_who_write_alone_lose_nothing(state: State):
    run_id = launch(state)
    errors: list[BaseException] = []

    def add_one(session: Session) -> None:
        session.get_one(Run, run_id).priority += 1

    def many(alone: bool) -> None:
        try:
            for _ in range(25):
                if alone:
                    with state.records.write() as session:
                        add_one(session)
                else:
                    state.records.write_grouped(add_one)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=many, args=(number % 4 == 0,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with state.records.read() as session:
        assert session.get_one(Run, run_id).priority == 16 * 25


def test_events_are_published_after_they_can_be_read_and_before_the_answer(state: State):
    seen: list[tuple[list[str], bool]] = []
    futures: list[Future[Any]] = []
    state.records.publish = lambda published: seen.append((kept(state.records), any(one.done() for one in futures)))
    with at_once(state.records) as submit:
        futures += [submit(keep("a")), submit(keep("b"))]

    assert [future.result() for future in futures] == ["a", "b"]
    assert seen[-1] == (["a", "b"], False)


def test_waiting_takes_no_thread(state: State):
    async def many() -> list[str]:
        submitted = [state.records.submit(keep(str(number))) for number in range(300)]
        return list(await asyncio.gather(*(asyncio.wrap_future(future) for future in submitted)))

    before = threading.active_count()
    assert asyncio.run(many()) == [str(number) for number in range(300)]
    assert threading.active_count() == before


def test_what_waits_at_the_end_is_still_written(settings):
    records = Records(settings.url)
    futures = [records.submit(keep(str(number))) for number in range(100)]
    records.close()

    assert all(future.done() for future in futures)
    again = Records(settings.url)
    assert len(kept(again)) == 100
    again.close()


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'records.db'}"
    writer = subprocess.Popen([sys.executable, "-c", WRITE, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    answered = [writer.stdout.readline().strip() for _ in range(50)]
    time.sleep(0.5)
    os.kill(writer.pid, signal.SIGKILL)
    answered += [line.strip() for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()

    records = Records(url)
    there = kept(records)
    records.close()
    assert len(answered) > 50
    assert set(answered) <= set(there)
    assert len(there) == len(set(there)) <= len(answered) + 8
