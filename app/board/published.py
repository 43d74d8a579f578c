"""What others have published of CIFAR-10 at 94 %: shown beside a board where asked for, never part of a statistic.

Each as its authors counted it: clocks and hardware differ, and every row says which. The rows from DAWNBench are those
of its repository's logs that reach 94 % (`seconds`: its own hours at the first such epoch). Must not know runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATASET, TARGET = "cifar10", 0.94
FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Published:
    name: str
    date: str  # as far as it is known: 2019, 2020-01, 2018-11-06
    hardware: str
    framework: str
    seconds: float  # to 94 %, by `clock`
    accuracy: float  # share, at that time
    epochs: float
    runs: str  # how many there were, in words
    clock: str  # what `seconds` counts
    source: str


@cache
def published() -> tuple[Published, ...]:
    """The fastest first."""
    return tuple(Published(**row) for row in json.loads(FILE.read_text(encoding="utf-8")))
