"""Resident memory of the web process (after it has drawn every page) and of an idle worker."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import psutil

from app.web.assets import PLOTLY_ADDRESS
from benchmarks.figures import Figure
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import Site, until

PAGES = ("/", "/runs", "/runs/new", "/runs/1", "/api/v1/recipe-schema", "/api/v1/datasets", "/metrics")
FRAMEWORKS = ("tensorflow", "keras", "jax", "torch")


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    site = Site(folder)
    try:
        web = site.serve()
        worker = site.work("--no-warm")
        site.launch(preset="seed-readme-fixed", recipe={"epochs": 100})
        until(lambda: site.get("/api/v1/workers"), 30, "the worker is there")
        site.post("/api/v1/runs/1/cancel")
        for page in [*PAGES, PLOTLY_ADDRESS] * pace.amount(5, 1):
            _text(site, page)
        until(lambda: not psutil.Process(worker.pid).children(), 40, "the worker is idle")
        loaded = sorted({name for name in FRAMEWORKS if _maps(web.pid, name)})
        return [
            Figure("web process, resident", f"{_rss(web.pid):.0f} MiB", "≤ 200 MiB"),
            Figure("web process, ML frameworks mapped", ", ".join(loaded) or "none", "none"),
            Figure("worker, resident", f"{_rss(worker.pid):.0f} MiB", "≤ 120 MiB"),
        ]
    finally:
        site.close()


def _rss(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _maps(pid: int, name: str) -> bool:
    """Whether any shared library of the framework is mapped into the process."""
    return f"/{name}/" in Path(f"/proc/{pid}/maps").read_text()


def _text(site: Site, path: str) -> str:
    request = urllib.request.Request(site.url + path, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode(errors="replace"))
