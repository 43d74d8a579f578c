"""Group commit: many small writes in one transaction. Callers submit them, one thread commits all that are waiting.

SQLite has one writer, and each commit waits for the disk: simultaneous writes share that wait. Each has a savepoint of
its own, so that one that fails is rolled back alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.errors import Busy, Trouble
from app.records import outbox
from app.records.outbox import OutboxEvent

MAX_BATCH = 64  # maximum number of writes in one transaction
MAX_WAITING_JOBS = 1000
IDLE_S = 1.0
LOCKED_RETRY_S = 0.25  # while the file is locked: how often writes that have waited for too long are refused

Work = Callable[[Session], Any]
Transaction = Callable[[float, list[OutboxEvent]], AbstractContextManager[Connection]]


@dataclass(eq=False)
class _Job:
    work: Work
    ends: float  # monotonic seconds
    done: Future[Any] = field(default_factory=Future)
    error: BaseException | None = None
    value: Any = None


class GroupCommit:
    """The thread and its queue.

    `transaction(ends, events)` opens a transaction, commits it on leaving and publishes `events`; it raises Busy if it
    does not get the write lock until `ends`. `idle` is called each second in which nothing is submitted.
    """

    def __init__(self, transaction: Transaction, idle: Callable[[], None]) -> None:
        self._transaction = transaction
        self._idle = idle
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    def submit(self, work: Work, seconds: float) -> Future[Any]:
        """The future is done when the write is on the disk and published, or has failed; with Busy after that many
        seconds. Raises Busy at once if `MAX_WAITING_JOBS` are waiting."""
        job = _Job(work, time.monotonic() + seconds)
        with self._changed:
            if self._closed or len(self._waiting) >= MAX_WAITING_JOBS:
                raise Busy()
            self._waiting.append(job)
            self._changed.notify()
        return job.done

    def close(self) -> None:
        """Writes what is waiting, unless the file is locked."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._closed:
                    self._changed.wait(IDLE_S)
                if not self._waiting and self._closed:
                    return
                is_idle = not self._waiting
            if is_idle:
                self._idle()
            else:
                self._write_batch()

    def _write_batch(self) -> None:
        batch: list[_Job] = []
        events: list[OutboxEvent] = []
        try:
            with self._transaction(time.monotonic() + LOCKED_RETRY_S, events) as connection:
                batch += self._pop_first(MAX_BATCH)
                for job in batch:
                    _write(job, connection, events)
        except BaseException as error:
            batch = batch or (self._pop_late() if isinstance(error, Busy) else self._pop_first(MAX_BATCH))
            for job in batch:  # none of them is on the disk
                job.error = type(error)(error.detail) if isinstance(error, Trouble) else error
        for job in batch:
            _resolve(job)

    def _pop_first(self, count: int) -> list[_Job]:
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), count))]

    def _pop_late(self) -> list[_Job]:
        """Jobs that have waited for too long; all jobs if closed."""
        now = time.monotonic()
        with self._changed:
            late = [job for job in self._waiting if self._closed or job.ends <= now]
            self._waiting = deque(job for job in self._waiting if not self._closed and job.ends > now)
        return late


def _write(job: _Job, connection: Connection, events: list[OutboxEvent]) -> None:
    try:
        with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
            with session.begin():
                job.value = job.work(session)
            events += outbox.recorded(session)
    except BaseException as error:
        if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            raise  # the disk is full: SQLite has rolled back the whole transaction
        job.error = error


def _resolve(job: _Job) -> None:
    if not job.done.set_running_or_notify_cancel():
        return
    if job.error is not None:
        job.done.set_exception(job.error)
    else:
        job.done.set_result(job.value)
