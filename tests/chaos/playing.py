"""Which scenarios there are, and how one is played: in a process of its own, its rows written as they come.

Must not know what a scenario does.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.chaos.stage import Row, Stage, write_row

Play = Callable[[Stage], Iterator[Row]]


@dataclass(frozen=True)
class Scenario:
    """`module:function`, and how it shares the machine with the others."""

    name: str
    where: str
    nice: int = 0  # above 0: computes a lot and has time; below: measures seconds of what computes
    is_short: bool = True  # part of the short show


SCENARIOS = [
    Scenario("real", "real:real"),
    Scenario("model", "model:model"),
    Scenario("storm", "storm:storm"),
    Scenario("streams", "streams:streams", nice=-10),
    Scenario("network", "network:network"),
    Scenario("outages", "outages:outages"),
    Scenario("zombies", "zombies:zombies"),
    Scenario("verbs", "verbs:verbs", nice=-5),
    Scenario("failures", "failures:failures"),
    Scenario("app-disk", "disk:app_disk"),
    Scenario("worker-disk", "disk:work_disk"),
    Scenario("clock", "clock:clock"),
    Scenario("lock", "lock:lock"),
    Scenario("submissions", "submissions:submissions"),
    Scenario("memory", "failures:memory"),
    Scenario("calls", "checkpoint_calls:checkpoint_calls"),
    Scenario("hang", "failures:hang", is_short=False),
]


def play(name: str, folder: Path, seed: int, is_long: bool, minutes: float) -> int:
    """Play one scenario, to its end or until it fails."""
    scenario = next(one for one in SCENARIOS if one.name == name)
    signal.signal(signal.SIGTERM, _end)
    _be_nice(scenario.nice)
    module, _, function = scenario.where.partition(":")
    stage, rows = Stage(name, folder, seed, is_long, minutes / 60), folder / "rows.jsonl"
    try:
        scene: Play = getattr(importlib.import_module(f"tests.chaos.scenarios.{module}"), function)
        for row in scene(stage):
            write_row(rows, row)
            print(f"{time.strftime('%H:%M:%S')} {row.line()}", flush=True)
            if row.holds is False:
                print(stage.tails(), flush=True)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        print(stage.tails(), flush=True)
        words = f"broken off: {type(error).__name__}: {error}".splitlines()[0][:300].replace("|", "/")
        write_row(rows, Row(name, words, "played to its end", holds=False))
    finally:
        stage.close()
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        (folder / "cpu.txt").write_text(f"{sum(one.ru_utime + one.ru_stime for one in used):.0f}")
    return 0


def _be_nice(value: int) -> None:
    """To the scenarios beside this one. Linux may group processes by session, and weighs these groups apart."""
    with suppress(OSError):  # only root may be less than nice
        os.nice(value)
        Path("/proc/self/autogroup").write_text(str(value))


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(1)
