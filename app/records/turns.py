"""One at a time, first come first served; and behind something that is stuck only a short queue.

`threading.Lock` lets whoever comes at the right moment overtake: a busy writer would keep the others out for ever.
Must not know what the turns are for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from app.errors import Busy

STUCK_S = 0.25  # a turn that takes longer is stuck, as far as those behind it can tell
MOST_WAITING = 16  # threads behind something stuck; the web server has 40, and the others must go on reading


class Turns:
    """Safe from any thread."""

    def __init__(self) -> None:
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
            if self._is_stuck() and len(self._queue) >= MOST_WAITING:
                raise Busy()
            mine.acquire()
            self._queue.append(mine)
        while not mine.acquire(timeout=min(STUCK_S, max(ends - time.monotonic(), 0))):
            with self._mutex:
                if mine not in self._queue:
                    return  # passed on to us just now
                is_surplus = self._is_stuck() and self._queue.index(mine) >= MOST_WAITING
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
        return since is not None and time.monotonic() - since > STUCK_S
