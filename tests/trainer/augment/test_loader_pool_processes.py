"""A crew's processes die with the trainer and not before it, and one that is killed is noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.trainer.augment.pool_processes import know_others, left_of_crews, members
from trainer.augment.loader_pool import LoaderPool
from trainer.augment.selections import Selection
from trainer.recipe import Recipe

REPOSITORY = Path(__file__).parents[3]
ALL = Selection(np.arange(100))


@pytest.fixture(autouse=True)
def others() -> None:
    know_others()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("victim", [0, 1])
def test_an_idle_process_that_is_killed_breaks_the_crew_and_leaving_it_does_not_hang(images: np.ndarray, victim: int):
    """One of the two holds a lock that the other waits for, so each is tried."""
    with pytest.raises(BrokenProcessPool), LoaderPool(Recipe(), images, 2) as crew:
        crew.warm_up()
        os.kill(members()[victim], signal.SIGKILL)
        for epoch in range(1, 1000):
            crew.prepare(epoch, ALL).result(timeout=30)
    assert not left_of_crews()


def test_a_process_killed_at_work_breaks_every_batch_under_way(images: np.ndarray):
    with LoaderPool(Recipe(), images, 2) as crew:
        under_way = [crew.prepare(epoch, ALL) for epoch in range(1, 100)]
        under_way[0].result(timeout=30)
        os.kill(members()[0], signal.SIGKILL)
        assert not wait(under_way, timeout=30).not_done
        assert isinstance(under_way[-1].exception(), BrokenProcessPool)
    assert not left_of_crews()


def test_signals_meant_for_the_trainer_do_not_end_its_crew(images: np.ndarray):
    """SIGTERM and, from a terminal, SIGINT reach the whole group; the trainer then ends its crew in order."""
    with LoaderPool(Recipe(), images, 2) as crew:
        crew_of = members()
        for moment in ("still starting", "warm"):
            for member in crew_of:
                os.kill(member, signal.SIGTERM)
                os.kill(member, signal.SIGINT)
            for epoch in range(1, 7):
                assert crew.prepare(epoch, ALL).result(timeout=30).shape == (100, 32, 32, 3), moment
        assert members() == crew_of
    assert not left_of_crews()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGTERM, signal.SIGINT}  # we hear them as before


HOLDER = """
import sys, time
import numpy as np
from trainer.augment.loader_pool import LoaderPool
from trainer.recipe import Recipe

with LoaderPool(Recipe(), np.zeros((50, 32, 32, 3), dtype=np.uint8), 2) as crew:
    if sys.argv[1] == "warm":
        crew.warm_up()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("moment", ["starting", "warm"])
def test_a_killed_trainer_takes_its_crew_with_it(moment: str):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, moment], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPOSITORY
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        family = psutil.Process(holder.pid).children(recursive=True)
        assert len(family) >= 2
        os.kill(holder.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive := [process for process in family if is_running(process)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


def is_running(process: psutil.Process) -> bool:
    """One that has ended and that its new parent has not looked at yet, a zombie, runs no more."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
