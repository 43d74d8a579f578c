"""The quickstart from POST to finished, as the first visitor sees it."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.figures import Figure, median
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import Site, until

RUNS = 3


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    site, runs = Site(folder), pace.amount(RUNS, 1)
    recipe = {"epochs": 1} if pace.is_moment else {}
    try:
        site.serve()
        site.work()
        until(lambda: site.get("/api/v1/workers"), 30, "the worker waits")
        walls, accuracies = [], []
        for seed in range(runs):
            began = time.monotonic()
            run_id = site.launch(preset="quickstart", recipe=recipe | {"seed": seed})
            run = site.wait_for(run_id, "succeeded", "failed")
            walls.append(time.monotonic() - began)
            accuracies.append(site.get(f"/api/v1/runs/{run_id}/epochs")[-1]["val_accuracy"])
            assert run["status"] == "succeeded", run["reason"]
    finally:
        site.close()
    shares = ", ".join(f"{share:.2%}" for share in accuracies)
    return [
        Figure(f"quickstart, POST to finished, {runs} seeds", f"median {median(walls):.1f} s", "≤ 90 s"),
        Figure("quickstart, final validation accuracy", shares, "≥ 95 %"),
    ]
