"""Time from POST to the end of the first step, with and without a warm child."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.figures import Figure, median
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import Site, until

PAIRS = 5
RECIPE = {"epochs": 2}  # of quickstart: what comes after the first step does not matter
KINDS = ("cold", "warm")
STILL_S = 1.0  # a child that did nothing for so long is ready


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    """A new worker each time, alternating, so that a drift of the machine affects both; a run, a rest, another run."""
    site, pairs = Site(folder), pace.amount(PAIRS, 1)
    waits: dict[tuple[str, int], list[float]] = {(kind, number): [] for kind in KINDS for number in (1, 2)}
    try:
        site.serve()
        for pair in range(pairs):
            for kind in KINDS if pair % 2 else reversed(KINDS):
                worker = site.work("--warm" if kind == "warm" else "--no-warm", "--name", f"{kind} {pair}")
                _rested(worker, children=0)
                for number in (1, 2):
                    waits[kind, number].append(_first_step(site))
                    _rested(worker, children=1 if kind == "warm" else 0)
                worker.terminate()
                worker.wait(30)
                first, second = (waits[kind, number][-1] for number in (1, 2))
                print(f"  {kind}: first run {first:.2f} s, second run {second:.2f} s", flush=True)
    finally:
        site.close()
    return [
        Figure(
            f"submit to first step, a worker's {name} quickstart run, n = {pairs}",
            f"median warm {median(waits['warm', number]):.2f} s, cold {median(waits['cold', number]):.2f} s",
            bar,
        )
        for number, name, bar in ((1, "first", "none"), (2, "second", "warm ≤ 1.5 s on a CPU"))
    ]


def _first_step(site: Site) -> float:
    """Seconds, from the run's event stream; returns when the run has ended. `evidence` marks its first step."""
    began = time.monotonic()
    run_id = site.launch(preset="quickstart", recipe=RECIPE)
    with urllib.request.urlopen(f"{site.url}/api/v1/runs/{run_id}/events", timeout=120) as stream:
        for line in stream:
            if line.strip() == b"event: evidence":
                break
    seconds = time.monotonic() - began
    assert site.wait_for(run_id, "succeeded", "failed")["status"] == "succeeded"
    return seconds


def _rested(worker: subprocess.Popen[bytes], children: int) -> None:
    """Wait until the worker has this many children, and all of them are idle."""
    process = psutil.Process(worker.pid)

    def used() -> float | None:
        family = process.children()
        return sum(sum(one.cpu_times()[:2]) for one in [process, *family]) if len(family) == children else None

    def rests() -> bool:
        before = used()
        time.sleep(STILL_S)
        return before is not None and (after := used()) is not None and after - before < 0.1 * STILL_S

    until(rests, 90, "the worker rests")
