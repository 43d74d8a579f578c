"""The dashboard's overhead: one recipe by `python -m trainer` alone and through the queue, alternating."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, interval_of_median, median
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import ROOT, Site, until

PAIRS = 13
RECIPE = {"target_accuracy": 0.95}


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    """Ratio of the training clocks (epochs' seconds and validation), queue over alone, pair by pair."""
    site, pairs = Site(folder), pace.amount(PAIRS, 1)
    recipe = RECIPE | {"epochs": pace.amount(10, 1)}
    ratios, alones = [], []
    try:
        site.serve()
        site.work("--no-warm")
        until(lambda: site.get("/api/v1/workers"), 30, "the worker waits")
        _queued(site, recipe)  # warm the page cache
        for pair in range(pairs):
            if pair % 2:  # in turn, so that a drift of the machine falls on both
                queued, alone = _queued(site, recipe), _alone(folder, recipe)
            else:
                alone, queued = _alone(folder, recipe), _queued(site, recipe)
            alones.append(alone)
            ratios.append(queued / alone)
            print(f"  pair {pair + 1}: alone {alone:.2f} s, queued {queued:.2f} s", flush=True)
    finally:
        site.close()
    low, high = interval_of_median(ratios)
    return [
        Figure(
            f"training through the queue over alone, {pairs} pairs of {median(alones):.0f} s",
            f"median ratio {median(ratios):.3f}, 90 % interval {low:.3f} to {high:.3f}",
            "≤ 1.02, or inside the interval",
        )
    ]


def _alone(folder: Path, recipe: dict[str, Any]) -> float:
    """Training seconds of the recipe when run from a terminal."""
    command = [sys.executable, "-m", "trainer", "--preset", "quickstart", "--dir", str(folder / "alone"), "-"]
    done = subprocess.run(
        command, input=json.dumps(recipe), capture_output=True, text=True, cwd=ROOT, check=True, timeout=300
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return float(sum(event["seconds"] + event["val_seconds"] for event in events if event["event"] == "epoch"))


def _queued(site: Site, recipe: dict[str, Any]) -> float:
    run_id = site.launch(preset="quickstart", recipe=recipe)
    run = site.wait_for(run_id, "succeeded", "failed", seconds=300)
    assert run["status"] == "succeeded", run["reason"]
    return float(sum(row["seconds"] + row["val_seconds"] for row in site.get(f"/api/v1/runs/{run_id}/epochs")))
