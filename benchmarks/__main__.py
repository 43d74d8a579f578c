"""`make bench`: measure and print one table. `python -m benchmarks memory latency` measures some of it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import board, latency, memory, pages, previews, quickstart, reports
from benchmarks.figures import Figure
from benchmarks.training import checkpoints, overhead, pipeline, warm

PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "memory": memory.measure,
    "latency": latency.measure,
    "quickstart": quickstart.measure,
    "warm": warm.measure,
    "overhead": overhead.measure,
    "previews": previews.measure,
    "pipeline": pipeline.measure,
    "checkpoints": checkpoints.measure,
    "reports": reports.measure,
    "board": board.measure,
    "pages": pages.measure,
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    figures: list[Figure] = []
    for name in wanted:
        print(f"measuring {name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
            figures += PARTS[name](Path(folder))
    print(f"\n| {'what':58} | {'measured':44} | bar |\n|{'-' * 60}|{'-' * 46}|---|")
    for figure in figures:
        print(f"| {figure.what:58} | {figure.measured:44} | {figure.bar} |")


if __name__ == "__main__":
    main()
