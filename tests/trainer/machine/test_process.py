"""A process that stands back does so for its threads, too, and comes forward again, whoever runs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.trainer.conftest import REPOSITORY

# A thread that is started meanwhile lives on, as those of a framework do.
PROGRAM = """
import os, sys, threading
from trainer.machine.process import low_priority
if sys.argv[1:]:
    os.setuid(int(sys.argv[1]))
over = threading.Event()
def shown():
    threads = sorted(int(name) for name in os.listdir("/proc/self/task"))
    print([(os.getpriority(os.PRIO_PROCESS, one), os.sched_getscheduler(one)) for one in threads])
with low_priority():
    threading.Thread(target=over.wait).start()
    shown()
shown()
over.set()
"""
NOBODY = 65534


def shown(*user: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *user], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_may_take_a_niceness_back_is_nice_meanwhile():
    usual = os.getpriority(os.PRIO_PROCESS, 0)

    assert shown() == [str([(min(usual + 10, 19), os.SCHED_OTHER)] * 2), str([(usual, os.SCHED_OTHER)] * 2)]


def test_an_ordinary_user_s_process_comes_forward_again_as_well():
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    user = (str(NOBODY),) if os.geteuid() == 0 else ()

    assert shown(*user) == [str([(usual, os.SCHED_BATCH)] * 2), str([(usual, os.SCHED_OTHER)] * 2)]
