"""Lists, boards and comparisons over 20,000 runs of 100 epochs: at the server, and beside MLflow over the same runs."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

from app.board.metrics import METRICS
from benchmarks import board_pages, many_runs
from benchmarks.figures import Figure, median, percentile
from benchmarks.pace import FULL, Pace
from benchmarks.peers.mlflow_side import Mlflow, curves, search
from tests.e2e.support.processes import Site

RUNS, EPOCHS = 20_000, 100
TIMES = 7  # of each question, after one that does not count
MLFLOW_TIMES = 3  # it takes seconds, and up to a minute without statistics
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


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    site = Site(folder)
    runs = pace.amount(RUNS, 600)
    hundred = board_pages.hundred(runs)
    many_runs.make(site.data_dir, runs, pace.amount(EPOCHS, 50))
    figures = [Figure(f"{runs:,} runs: the database", _size(site.data_dir / "pitwall.db"), "")]
    try:
        server = site.serve()
        _ask(site, "/api/v1/board")  # SciPy is loaded once
        figures += _lists(site, pace) + _boards(site, hundred, pace)
        figures += board_pages.painted(board_pages.of(site, hundred), pace)
        if not pace.is_moment:
            figures += _beside_mlflow(folder / "mlflow", site, hundred)
        figures += board_pages.open_list(site, server.pid, pace)
    finally:
        site.close()
    return figures


def _lists(site: Site, pace: Pace) -> list[Figure]:
    sorts = [f"/api/v1/runs?sort={quote(sort)}" for sort in SORTS]
    filters = [f"/api/v1/runs?{where}" for where in FILTERS]
    return [
        *_figures("any sort of the list", site, sorts, 100, pace),
        *_figures("any filter of the list", site, filters, 100, pace),
        *_figures("any sort of the folded list", site, [f"{sort}&fold=1" for sort in sorts], 100, pace),
    ]


def _boards(site: Site, hundred: str, pace: Pace) -> list[Figure]:
    boards = [
        f"/api/v1/board?dataset=cifar10&metric={metric}&target={target}"
        for metric in METRICS
        for target in (0.92, 0.94)
    ]
    return [
        *_figures("the board by each metric", site, boards, 200, pace),
        *_figures("the board's page", site, ["/board", "/board?metric=accuracy"], 200, pace),
        *_figures("curves of 100 runs", site, [f"/api/v1/compare?runs={hundred}"], 200, pace),
    ]


def _figures(what: str, site: Site, addresses: list[str], bar_ms: float, pace: Pace) -> list[Figure]:
    """Of all together, and of the slowest, which a percentile over all of them may hide."""
    waits: dict[str, list[float]] = {address: [] for address in addresses}
    for turn in range(pace.amount(TIMES, 1) + 1):
        for address in addresses:
            taken = _ask(site, address)
            if turn:
                waits[address].append(taken)
    every = [one for some in waits.values() for one in some]
    said = f"p50 {percentile(every, 0.5) * 1e3:.0f} ms, p95 {percentile(every, 0.95) * 1e3:.0f} ms"
    figures = [Figure(f"  {what} ({len(addresses)} questions)", said, f"p95 ≤ {bar_ms:g} ms")]
    if len(addresses) > 1:
        slowest = max(waits, key=lambda address: median(waits[address]))
        name = slowest.partition("?")[2] or slowest
        said = f"median {median(waits[slowest]) * 1e3:.0f} ms, worst {max(waits[slowest]) * 1e3:.0f} ms"
        figures.append(Figure(f"    slowest: {name[:45]}", said, ""))
    return figures


def _beside_mlflow(folder: Path, site: Site, hundred: str) -> list[Figure]:
    """The same questions to both, in turn; 50 runs each. MLflow twice: as it keeps its tables, and at its best."""
    try:
        other = Mlflow(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        return [Figure("beside MLflow", f"could not be installed here: {error}"[:44], "")]
    try:
        print(f"MLflow {other.version}: {other.fill(site.data_dir / 'pitwall.db')}", flush=True)
        other.serve()
        figures = [Figure(f"beside MLflow {other.version}, the same runs", "theirs / ours, medians", "")]
        figures += _asked_of_both(site, other, hundred)
        figures += board_pages.painted([board_pages.of(site, hundred)[0], board_pages.of_mlflow(other.url)], FULL)
        other.analyze()
        figures.append(Figure("  the same after ANALYZE, which it never does itself", "", ""))
        return figures + _asked_of_both(site, other, hundred)
    finally:
        other.close()


def _asked_of_both(site: Site, other: Mlflow, runs: str) -> list[Figure]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    hundred = [other.names[int(run)] for run in runs.split(",")]
    _ask(other, curves(hundred[:1]))
    for _ in range(MLFLOW_TIMES):
        for what, address, order, where in BESIDE:
            ours, theirs = found.setdefault(what, ([], []))
            ours.append(_ask(site, f"/api/v1/runs?{address}"))
            theirs.append(_ask(other, "/api/2.0/mlflow/runs/search", search([order] if order else [], where)))
        ours, theirs = found.setdefault("curves of 100 runs", ([], []))
        ours.append(_ask(site, f"/api/v1/compare?runs={runs}"))
        theirs.append(_ask(other, curves(hundred)))
    return [_ratio(what, median(ours), median(theirs)) for what, (ours, theirs) in found.items()]


def _ratio(what: str, ours: float, theirs: float) -> Figure:
    return Figure(f"  {what}", f"{theirs * 1e3:,.0f} / {ours * 1e3:.0f} ms = {theirs / ours:.0f} ×", "")


def _ask(server: Site | Mlflow, address: str, body: bytes | None = None) -> float:
    """Seconds until the whole answer is here. An answer to a search of MLflow's must hold 50 runs."""
    request = urllib.request.Request(server.url + address, body, {"Content-Type": "application/json"} if body else {})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=300) as answer:
        content = answer.read()
    taken = time.perf_counter() - began
    assert body is None or len(json.loads(content)["runs"]) == 50, "it found the runs"
    return taken


def _size(path: Path) -> str:
    files = itertools.chain([path], path.parent.glob(f"{path.name}-wal"))
    return f"{sum(file.stat().st_size for file in files) / 2**20:.0f} MiB"
