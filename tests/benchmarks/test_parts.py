"""Each part of `make bench` runs: its figures are made for a moment, and are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS
from benchmarks.pace import FULL, MOMENT

QUICK = {"memory", "previews"}  # seconds each; the others start browsers or train


@pytest.mark.parametrize(
    "part",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.thorough]) for name in PARTS],
)
def test_a_part_of_the_benchmark_runs(part: str, tmp_path: Path):
    """In a process of its own: it starts browsers and imports frameworks."""
    command = [sys.executable, "-m", "benchmarks", "--moment", part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert rows and all(row.split("|")[2].strip() or "ANALYZE" in row for row in rows)


def test_a_moment_is_less_than_a_measurement():
    assert (FULL.amount(20, 1), MOMENT.amount(20, 1)) == (20, 1)
