"""Ends this process when its parent ends, so that a killed parent leaves nothing running. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send signal `number` to this process when process `parent` ends; exit now if it already has."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
