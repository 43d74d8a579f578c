"""A fair lock: threads get it in the order of their requests, and give up early behind a stuck holder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from app.errors import Busy

STUCK_S = 0.25  # a turn that takes longer counts as stuck
MAX_WAITING_THREADS = 16  # behind a stuck holder: the others of the web server's 40 threads must be free to read


class FairLock:
    """Safe from any thread."""

    def __init__(self, stuck_s: float = STUCK_S) -> None:
        self._stuck_s = stuck_s
        self._mutex = Lock()
        self._queue: deque[Lock] = deque()  # each held, and released when its owner's turn comes
        self._since: float | None = None  # when the present turn began; None: the lock is free
        self._failing_since: float | None = None  # when the first of several Busy turns in a row began

    @contextmanager
    def turn(self, ends: float) -> Iterator[None]:
        """Hold the lock. Raises Busy at `ends` (monotonic seconds), or at once where the lock is stuck and
        `MAX_WAITING_THREADS` wait for it."""
        self._wait(ends)
        try:
            yield
        except Busy:
            self._pass_on(was_busy=True)
            raise
        except BaseException:
            self._pass_on(was_busy=False)
            raise
        self._pass_on(was_busy=False)

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
                    return  # got the lock just now
                is_surplus = self._is_stuck() and self._queue.index(mine) >= MAX_WAITING_THREADS
                if is_surplus or time.monotonic() >= ends:
                    self._queue.remove(mine)
                    raise Busy()

    def _pass_on(self, *, was_busy: bool) -> None:
        with self._mutex:
            self._failing_since = (self._failing_since or self._since) if was_busy else None
            self._since = time.monotonic() if self._queue else None
            if self._queue:
                self._queue.popleft().release()

    def _is_stuck(self) -> bool:
        since = self._failing_since or self._since
        return since is not None and time.monotonic() - since > self._stuck_s
