"""The cost of previews: server time of a schedule and of sixteen images, and the web process's memory afterwards."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure, median
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import Site

ROUNDS = 15
SCHEDULE = {
    "schedule": {"kind": "sine"},
    "epochs": 100,
    "batch_size": 500,
    "dataset": {"name": "cifar10"},
}  # 10,000 steps
EVERYTHING = [{"op": "rotate"}, {"op": "flip"}, {"op": "pad_crop"}, {"op": "blur"}, {"op": "cutout"}]
PICTURES = {"dataset": {"name": "digits"}, "augment": EVERYTHING, "mixup": {"pairing": "permute"}, "count": 16}


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    site, rounds = Site(folder), pace.amount(ROUNDS, 1)
    try:
        web = site.serve()
        before = _rss(web.pid)
        schedule = [_seconds(site, "schedule", SCHEDULE) for _ in range(rounds)]
        first = _seconds(site, "augmentation", PICTURES)
        pictures = [_seconds(site, "augmentation", PICTURES | {"seed": seed}) for seed in range(rounds)]
        after = _rss(web.pid)
        return [
            Figure("schedule preview, 10,000 steps", f"median {median(schedule) * 1000:.0f} ms", "≤ 50 ms"),
            Figure(
                "preview of 16 pictures, 6 operations, every stage",
                f"median {median(pictures) * 1000:.0f} ms, worst {max(pictures) * 1000:.0f} ms",
                "≤ 400 ms",
            ),
            Figure("the first one, which loads imgaug", f"{first:.1f} s", "–"),
            Figure("web process, resident, before and after", f"{before:.0f} and {after:.0f} MiB", "≤ 300 MiB"),
        ]
    finally:
        site.close()


def _seconds(site: Site, what: str, body: dict[str, Any]) -> float:
    request = urllib.request.Request(
        f"{site.url}/api/v1/previews/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - began


def _rss(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20
