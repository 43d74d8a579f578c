"""Warm children for tests: the light trainer's, which start in a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

LIGHT = (sys.executable, "-m", "tests.chaos.light_trainer", "--processes", "0")
RECIPE: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 200, "val_limit": 50},
    "augment": [{"op": "pad_crop", "pad": 2, "mode": "constant"}, {"op": "cutout", "p": 0.5}],
    "model": {"width": 2},  # milliseconds of a step
    "batch_size": 50,
    "epochs": 3,
}
TIMES = {
    "busy",
    "memory_bytes",
    "seconds",
    "input_seconds",
    "val_seconds",
    "compile_seconds",
    "startup_seconds",
    "is_warm",
    "energy_wh",
}


def numbers(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run's events without measured times."""
    kept = ("started", "evidence", "epoch", "finished")
    return [{key: one[key] for key in one if key not in TIMES} for one in said if one["event"] in kept]


def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < ends, f"did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
