"""Lists, boards and comparisons over 20,000 runs of 100 epochs: at the server, and beside MLflow over the same runs."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

from app.board_metrics import METRICS
from benchmarks import board_pages, many_runs
from benchmarks.figures import Figure, median, percentile
from benchmarks.mlflow_side import Mlflow, search
from tests.e2e.processes import Site

RUNS, EPOCHS = 20_000, 100
TIMES = 7  # of each question, after one that does not count
MLFLOW_TIMES = 3  # it takes seconds
SORTS = (
    "-id", "name", "-created_at", "-best_val_accuracy", "last_val_accuracy", "time_to_target", "-elapsed_seconds",
    "seed", "recipe.batch_size", "-recipe.optimizer.weight_decay.value", "recipe.schedule.kind", "-val_accuracy@50",
)  # fmt: skip
FILTERS = (
    "status=succeeded", "status=failed", "tag=week%203", "q=run%2019", "dataset=cifar10", "where=recipe.batch_size=512",
    "where=best_val_accuracy>=0.944&where=recipe.optimizer.weight_decay.value<0.005", "where=val_accuracy@10>=0.62",
)  # fmt: skip
# (what, ours, MLflow's order, MLflow's filter)
BESIDE = (
    ("sorted by best accuracy", "sort=-best_val_accuracy", "metrics.best_val_accuracy DESC", ""),
    ("sorted by a knob", "sort=-recipe.optimizer.weight_decay.value", "params.`optimizer.weight_decay.value` DESC", ""),
    ("filtered by a knob", "where=recipe.batch_size=512", "", "params.batch_size = '512'"),
    ("filtered by accuracy", "where=best_val_accuracy>=0.944", "", "metrics.best_val_accuracy >= 0.944"),
    ("newest first", "sort=-id", "attributes.start_time DESC", ""),
)


def measure(folder: Path) -> list[Figure]:
    site = Site(folder)
    many_runs.make(site.data_dir, RUNS, EPOCHS)
    figures = [Figure(f"{RUNS:,} runs of {EPOCHS} epochs: the database", _size(site.data_dir / "pitwall.db"), "")]
    try:
        server = site.serve()
        _ask(site, "/api/v1/board")  # SciPy is loaded once
        figures += _lists(site) + _boards(site)
        figures += board_pages.painted(site)
        figures += _beside_mlflow(folder / "mlflow", site)
        figures += board_pages.open_list(site, server.pid)
    finally:
        site.close()
    return figures


def _lists(site: Site) -> list[Figure]:
    sorts = [f"/api/v1/runs?sort={quote(sort)}" for sort in SORTS]
    filters = [f"/api/v1/runs?{where}" for where in FILTERS]
    return [_figure("any sort of the list", site, sorts, 100), _figure("any filter of the list", site, filters, 100)]


def _boards(site: Site) -> list[Figure]:
    boards = [
        f"/api/v1/board?dataset=cifar10&metric={metric}&target={target}"
        for metric in METRICS
        for target in (0.92, 0.94)
    ]
    hundred = ",".join(map(str, range(1, RUNS, RUNS // 100)))
    return [
        _figure("the board by each metric", site, boards, 200),
        _figure("the board's page", site, ["/board", "/board?metric=accuracy"], 200),
        _figure("curves of 100 runs", site, [f"/api/v1/compare?runs={hundred}"], 200),
    ]


def _figure(what: str, site: Site, addresses: list[str], bar_ms: float) -> Figure:
    waits = []
    for time_of in range(TIMES + 1):
        taken = [_ask(site, address) for address in addresses]
        waits += taken if time_of else []
    said = f"p50 {percentile(waits, 0.5) * 1e3:.0f} ms, p95 {percentile(waits, 0.95) * 1e3:.0f} ms"
    return Figure(f"  {what} ({len(addresses)} questions)", said, f"p95 ≤ {bar_ms:g} ms")


def _beside_mlflow(folder: Path, site: Site) -> list[Figure]:
    """The same questions to both, in turn; 50 runs each."""
    try:
        other = Mlflow(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        return [Figure("beside MLflow", f"could not be installed here: {error}"[:44], "")]
    try:
        print(f"MLflow {other.version}: {other.fill(site.data_dir / 'pitwall.db')}", flush=True)
        other.serve()
        figures = [Figure(f"beside MLflow {other.version}, the same runs", "theirs / ours, medians", "")]
        for what, address, order, where in BESIDE:
            ours, theirs = [], []
            body = search([order] if order else [], where)
            for turn in range(MLFLOW_TIMES + 1):
                mine, its = _ask(site, f"/api/v1/runs?{address}"), _search(other.url, body)
                if turn:
                    ours.append(mine)
                    theirs.append(its)
            ratio = median(theirs) / median(ours)
            said = f"{median(theirs) * 1e3:.0f} / {median(ours) * 1e3:.0f} ms = {ratio:.0f} ×"
            figures.append(Figure(f"  {what}", said, ""))
        return figures
    finally:
        other.close()


def _search(url: str, body: bytes) -> float:
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=300) as answer:
        found = json.load(answer)
    assert len(found["runs"]) == 50, "it found the runs"
    return time.perf_counter() - began


def _ask(site: Site, address: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(site.url + address, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - began


def _size(path: Path) -> str:
    files = itertools.chain([path], path.parent.glob(f"{path.name}-wal"))
    return f"{sum(file.stat().st_size for file in files) / 2**20:.0f} MiB"
