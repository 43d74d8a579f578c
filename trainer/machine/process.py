"""Process settings on Linux: end with the parent, and run at a low priority."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send signal `number` to this process when process `parent` ends; exit now if it already has."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


NICENESS = 10  # about a tenth of a core when other processes want it too


@contextmanager
def low_priority() -> Iterator[None]:
    """Lower the priority of the calling thread and of threads that it starts, until the context ends."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    is_nice = _can_restore(usual)
    _set_priority(0, usual + NICENESS if is_nice else None, os.SCHED_BATCH)
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            _set_priority(int(thread.name), usual if is_nice else None, os.SCHED_OTHER)


def _set_priority(thread: int, niceness: int | None, policy: int) -> None:
    with suppress(OSError):  # the thread has ended, or a sandbox forbids it
        if niceness is not None:
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
        else:
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def _can_restore(usual: int) -> bool:
    """Tested in a thread whose niceness ends with it, since both limits and capabilities decide."""
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
