"""`make bench`: measure and print one table. `python -m benchmarks memory latency` measures some of it.

With `--moment` each part runs for a moment only: whether it runs, not how fast.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import board, latency, memory, pages, previews, quickstart, reports
from benchmarks.figures import Figure
from benchmarks.pace import FULL, MOMENT, Pace
from benchmarks.training import checkpoints, overhead, pipeline, warm

PARTS: dict[str, Callable[[Path, Pace], list[Figure]]] = {
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure and print one table.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS) + " (default: all)")
    parser.add_argument(
        "--moment", action="store_true", help="run each part briefly, as a check: the figures are meaningless"
    )
    arguments = parser.parse_args()
    wanted, pace = arguments.parts or list(PARTS), MOMENT if arguments.moment else FULL
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    figures: list[Figure] = []
    for name in wanted:
        print(f"measuring {name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
            figures += PARTS[name](Path(folder), pace)
    print(f"\n| {'what':58} | {'measured':44} | bar |\n|{'-' * 60}|{'-' * 46}|---|")
    for figure in figures:
        print(f"| {figure.what:58} | {figure.measured:44} | {figure.bar} |")


if __name__ == "__main__":
    main()
