"""Let other processes go first for a while, and take one's turn again. Linux only. Must not know what for.

An ordinary user may not take back a niceness, so there the kernel is only told that nobody waits for an answer
(SCHED_BATCH), which anybody may take back. Each thread has a priority of its own, and hands it on to those it starts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NICENESS = 10  # of niceness: a tenth of a processor that somebody else wants, too


@contextmanager
def low_priority() -> Iterator[None]:
    """Meanwhile the calling thread, and what it starts, goes last where a processor is short."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    is_nice = _can_restore(usual)
    _set_priority(0, usual + NICENESS if is_nice else None, os.SCHED_BATCH)
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            _set_priority(int(thread.name), usual if is_nice else None, os.SCHED_OTHER)


def _set_priority(thread: int, niceness: int | None, policy: int) -> None:
    with suppress(OSError):  # the thread has just ended; or a sandbox forbids it, which is no reason to fail
        if niceness is not None:
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
        else:
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def _can_restore(usual: int) -> bool:
    """Tried out by a thread of its own, whose niceness ends with it: limits and capabilities both decide."""
    found = False

    def attempt() -> None:
        nonlocal found
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, usual + 1)
            os.setpriority(os.PRIO_PROCESS, 0, usual)
            found = True

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found
