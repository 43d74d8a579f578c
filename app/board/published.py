"""Published CIFAR-10 results at 94 %: shown beside a board on request, never part of its statistics.

Numbers are as their authors measured them; clocks and hardware differ, and every row names its own. The rows from
DAWNBench are the logs of its repository that reach 94 % (`seconds`: its hours at the first such epoch).
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
    date: str  # as precise as known: 2019, 2020-01, 2018-11-06
    hardware: str
    framework: str
    seconds: float  # to 94 %, by `clock`
    accuracy: float  # share, at that time
    epochs: float | None  # None: not stated
    runs: str  # how many, as text
    clock: str  # what `seconds` covers
    source: str


@cache
def load_published() -> tuple[Published, ...]:
    """Fastest first."""
    return tuple(Published(**row) for row in json.loads(FILE.read_text(encoding="utf-8")))
