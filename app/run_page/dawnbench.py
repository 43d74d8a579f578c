"""A run as an entry of DAWNBench's CIFAR-10 training track: a JSON file and a table of its epochs.

Format: README.md of stanford-futuredata/dawn-bench-entries, "CIFAR10 Training". The author's name and address are
placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from app.errors import Conflict
from app.json_shapes import PROBLEM
from app.metrics.accuracy import FORWARD_PASSES, has_tta, ranking_accuracy, tta_views
from app.metrics.epochs import EpochResponse, with_elapsed
from app.runs import responses, runs
from app.runs.schemas import RunDetails
from app.web.deps import Here, State
from app.workers.prices import load_prices

VERSION = "v1.0"
HOUR = 3600.0


def entry_name(run: RunDetails) -> str:
    """File name without suffix, in the required form `[author]_[model]_[hardware]_[framework]`."""
    model, hardware = run.recipe["model"]["name"], (run.hardware or "unknown").removeprefix("cpu: ")
    return "_".join(
        re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in ("AUTHOR", model, hardware, _backend(run))
    )


def entry_json(run: RunDetails, price_per_hour: float | None) -> str:
    """The JSON file. `price_per_hour` of the worker is left out if None."""
    recipe, started = run.recipe, _started(run)
    environment = started.get("environment", {})
    framework = " ".join(
        part for part in (_backend(run), environment.get(_backend(run)), "Keras", environment.get("keras")) if part
    )
    entry: dict[str, Any] = {
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
    if has_tta(recipe):
        entry["misc"]["testTimeAugmentation"] = {
            "views": tta_views(recipe),
            "forwardPasses": FORWARD_PASSES[tta_views(recipe)],
            "seconds": run.tta_seconds,
            "plainTop1Accuracy": None if run.last_plain_accuracy is None else round(100 * run.last_plain_accuracy, 8),
        }
    if price_per_hour is not None:
        entry["costPerHour"] = price_per_hour
    return json.dumps(entry, indent=2) + "\n"


def epochs_tsv(rows: Sequence[EpochResponse]) -> str:
    """The epochs, tab-separated: number, hours of training time, accuracy used for ranking in per cent.

    Epochs without validation are left out. `repr` writes floats so that they read back bit-identical.
    """
    lines = ["epoch\thours\ttop1Accuracy"]
    lines += [
        f"{row.epoch}\t{row.elapsed_seconds / HOUR!r}\t{round(100 * accuracy, 8)!r}"
        for row in rows
        if (accuracy := ranking_accuracy(row)) is not None
    ]
    return "\n".join(lines) + "\n"


def _backend(run: RunDetails) -> str:
    return str(run.recipe["backend"])


def _started(run: RunDetails) -> dict[str, Any]:
    """What the trainer reported at start; empty before that."""
    return (run.attempts[-1].started if run.attempts else None) or {}


router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/runs/{run_id}/dawnbench.json", tags=["runs"])
def get_dawnbench_entry(run_id: int, here: Here) -> Response:
    """Return the run as a DAWNBench entry: hardware, framework and recipe."""
    name, entry, _ = _load_entry(here, run_id)
    return _download(entry, "application/json", f"{name}.json")


@router.get("/runs/{run_id}/dawnbench.tsv", tags=["runs"])
def get_dawnbench_table(run_id: int, here: Here) -> Response:
    """Return the epochs in the format of DAWNBench: number, hours, accuracy in per cent."""
    name, _, table = _load_entry(here, run_id)
    return _download(table, "text/tab-separated-values; charset=utf-8", f"{name}.tsv")


def _load_entry(here: State, run_id: int) -> tuple[str, str, str]:
    """File name, JSON, table. Raises Conflict if the run has no epoch."""
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
        rows = with_elapsed(runs.shown_epochs(session, run_id))
        price = load_prices(session).get(run.worker or "")
    if not rows:
        raise Conflict(f"run {run_id} has no epoch yet")
    return entry_name(run), entry_json(run, price), epochs_tsv(rows)


def _download(text: str, media_type: str, name: str) -> Response:
    return Response(text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
