"""Many small writes in one transaction: who has one hands it in, one thread commits whatever waits.

SQLite has one writer, and each commit waits for the disk. Those who write at the same moment share that wait; each in
a savepoint of its own, so that one that fails is undone alone. Must not know what is written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.errors import Busy, Trouble

MAX_BATCH = 64  # writes of one transaction: the next ones wait for so many
MAX_WAITING_JOBS = 1000  # more than that is no load but a flood
IDLE_S = 1.0
LOOK_S = 0.25  # while the file is locked: how often those who have waited for too long are let go

Work = Callable[[Session], Any]
Alone = Callable[[float, list[Any]], AbstractContextManager[Connection]]


@dataclass(eq=False)
class _Job:
    work: Work
    ends: float  # monotonic seconds
    done: Future[Any] = field(default_factory=Future)
    error: BaseException | None = None
    value: Any = None


class GroupCommit:
    """The thread and what waits for it.

    `alone(ends, told)` opens a transaction, which is committed and then told on leaving; Busy where it is not its turn
    until `ends`. `idle` is called each second in which nobody hands anything in.
    """

    def __init__(self, alone: Alone, idle: Callable[[], None]) -> None:
        self._alone = alone
        self._idle = idle
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="records", daemon=True)
        self._thread.start()

    def submit(self, work: Work, seconds: float) -> Future[Any]:
        """The future is done when the write is on the disk and told, or has failed; with Busy after so many seconds."""
        job = _Job(work, time.monotonic() + seconds)
        with self._changed:
            if self._closed or len(self._waiting) >= MAX_WAITING_JOBS:
                raise Busy()
            self._waiting.append(job)
            self._changed.notify()
        return job.done

    def close(self) -> None:
        """What waits is still written, unless the file is locked."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
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
                self._write()

    def _write(self) -> None:
        batch: list[_Job] = []
        told: list[Any] = []
        try:
            with self._alone(time.monotonic() + LOOK_S, told) as connection:
                batch += self._first(MAX_BATCH)
                for job in batch:
                    _do(job, connection, told)
        except BaseException as error:
            batch = batch or (self._late() if isinstance(error, Busy) else self._first(MAX_BATCH))
            for job in batch:  # nothing of them is on the disk
                job.error = type(error)(error.detail) if isinstance(error, Trouble) else error
        for job in batch:
            _wake(job)

    def _first(self, most: int) -> list[_Job]:
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), most))]

    def _late(self) -> list[_Job]:
        """Those who have waited for too long; at the end, all."""
        now = time.monotonic()
        with self._changed:
            late = [job for job in self._waiting if self._closed or job.ends <= now]
            self._waiting = deque(job for job in self._waiting if not self._closed and job.ends > now)
        return late


def _do(job: _Job, connection: Connection, told: list[Any]) -> None:
    try:
        with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
            with session.begin():
                job.value = job.work(session)
            told += session.info.get("told", [])
    except BaseException as error:
        if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            raise  # the disk is full: SQLite has undone the whole of it
        job.error = error


def _wake(job: _Job) -> None:
    if not job.done.set_running_or_notify_cancel():
        return
    if job.error is not None:
        job.done.set_exception(job.error)
    else:
        job.done.set_result(job.value)


STUCK_S = 0.25  # a turn that takes longer is stuck, as far as those behind it can tell


MAX_WAITING_THREADS = 16  # threads behind something stuck; the web server has 40, and the others must go on reading


class FairLock:
    """Safe from any thread."""

    def __init__(self, stuck_s: float = STUCK_S) -> None:
        self._stuck_s = stuck_s
        self._mutex = Lock()
        self._queue: deque[Lock] = deque()  # each held by us, released when its owner's turn has come
        self._since: float | None = None  # when the present turn began; none: nobody has it
        self._failing_since: float | None = None  # the same of the first of several turns that came to nothing

    @contextmanager
    def turn(self, ends: float) -> Iterator[None]:
        """Alone, once those who came before have been. Raises Busy at `ends` (monotonic seconds), or at once where
        something is stuck and enough wait for it already."""
        self._wait(ends)
        try:
            yield
        except Busy:
            self._pass_on(in_vain=True)
            raise
        except BaseException:
            self._pass_on(in_vain=False)
            raise
        self._pass_on(in_vain=False)

    def _wait(self, ends: float) -> None:
        mine = Lock()
        with self._mutex:
            if self._since is None:
                self._since = time.monotonic()
                return
            if self._is_stuck() and len(self._queue) >= MAX_WAITING_THREADS:
                raise Busy()
            mine.acquire()
            self._queue.append(mine)
        while not mine.acquire(timeout=min(self._stuck_s, max(ends - time.monotonic(), 0))):
            with self._mutex:
                if mine not in self._queue:
                    return  # passed on to us just now
                is_surplus = self._is_stuck() and self._queue.index(mine) >= MAX_WAITING_THREADS
                if is_surplus or time.monotonic() >= ends:
                    self._queue.remove(mine)
                    raise Busy()

    def _pass_on(self, *, in_vain: bool) -> None:
        with self._mutex:
            self._failing_since = (self._failing_since or self._since) if in_vain else None
            self._since = time.monotonic() if self._queue else None
            if self._queue:
                self._queue.popleft().release()

    def _is_stuck(self) -> bool:
        since = self._failing_since or self._since
        return since is not None and time.monotonic() - since > self._stuck_s
