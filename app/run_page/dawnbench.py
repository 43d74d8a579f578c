"""A run as an entry of DAWNBench's CIFAR-10 training track: a JSON file and a table of its epochs.

Format: README.md of stanford-futuredata/dawn-bench-entries, "CIFAR10 Training". Pure functions of rows. What only its
author knows (name, address) is left open, in words. Must not know HTTP or the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from app.metrics import accuracy as counted
from app.runs.schemas import EpochShown, RunWhole

VERSION = "v1.0"
HOUR = 3600.0


def name_of(run: RunWhole) -> str:
    """Of both files, without their ends: `[author]_[model]_[hardware]_[framework]`, as the format asks."""
    model, hardware = run.recipe["model"]["name"], (run.hardware or "unknown").removeprefix("cpu: ")
    return "_".join(
        re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in ("AUTHOR", model, hardware, _backend(run))
    )


def entry(run: RunWhole, price_per_hour: float | None) -> str:
    """The JSON file. `price_per_hour`: of the worker, left out where it is not known."""
    recipe, started = run.recipe, _started(run)
    place = started.get("environment", {})
    framework = " ".join(
        part for part in (_backend(run), place.get(_backend(run)), "Keras", place.get("keras")) if part
    )
    found: dict[str, Any] = {
        "version": VERSION,
        "author": "YOUR NAME",
        "authorEmail": "YOUR ADDRESS",
        "framework": framework,
        "model": recipe["model"]["name"],
        "hardware": run.hardware or "unknown",
        "timestamp": (run.ended_at or run.created_at).date().isoformat(),
        "misc": {
            "recipe": recipe,
            "trainImages": started.get("train_images"),
            "datasetFingerprint": run.fingerprint,
            "pitwall": run.version,
            "attempts": run.attempt,
        },
    }
    if counted.has_tta(recipe):
        found["misc"]["testTimeAugmentation"] = {
            "views": counted.views(recipe),
            "forwardPasses": counted.PASSES[counted.views(recipe)],
            "seconds": run.tta_seconds,
            "plainTop1Accuracy": None if run.last_plain_accuracy is None else round(100 * run.last_plain_accuracy, 8),
        }
    if price_per_hour is not None:
        found["costPerHour"] = price_per_hour
    return json.dumps(found, indent=2) + "\n"


def table(rows: Sequence[EpochShown]) -> str:
    """The epochs, tab-separated: number, hours of the training clock, per cent of the pictures, as they count.

    Epochs that nobody validated are left out. Numbers are written so that reading them gives the same bits.
    """
    lines = ["epoch\thours\ttop1Accuracy"]
    lines += [
        f"{row.epoch}\t{row.elapsed_seconds / HOUR!r}\t{round(100 * accuracy, 8)!r}"
        for row in rows
        if (accuracy := counted.accuracy(row)) is not None
    ]
    return "\n".join(lines) + "\n"


def _backend(run: RunWhole) -> str:
    return str(run.recipe["backend"])


def _started(run: RunWhole) -> dict[str, Any]:
    """What the child said of itself; nothing, if it has not."""
    return (run.attempts[-1].started if run.attempts else None) or {}
