"""A data folder of many finished runs, made up: `python -m benchmarks.many_runs FOLDER`.

Rows are written as the app would have written them, by the thousand. 500 recipes, seeds side by side.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pysqlite3

from app.metrics import milestones
from app.records.database import Records
from trainer.presets import PRESETS
from trainer.recipe import Recipe, recipe_hash

RECIPES = 500
TOGETHER = 500  # runs of one transaction
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
HARDWARE = ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB")
STARTED = {"event": "started", "train_images": 50_000, "val_images": 10_000, "classes": [str(n) for n in range(10)],
           "steps_per_epoch": 98, "parameters": {"total": 6_573_120, "trainable": 6_568_640, "non_trainable": 4_480},
           "resumed_from_epoch": 0, "resumed_at_step": 0, "differs": []}  # fmt: skip


def make(folder: Path, runs: int, epochs: int) -> None:
    """`pitwall.db` in the folder."""
    path = folder / "pitwall.db"
    folder.mkdir(parents=True, exist_ok=True)
    Records(f"sqlite:///{path}").close()
    connection = pysqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    recipes = [recipe.model_dump(mode="json") for recipe in _recipes(epochs)]
    hashes = [recipe_hash(Recipe.model_validate(recipe)) for recipe in recipes]
    random = np.random.default_rng(5)
    for first in range(1, runs + 1, TOGETHER):
        with connection:
            for run in range(first, min(first + TOGETHER, runs + 1)):
                at = (run - 1) % RECIPES
                _write(connection, random, run, recipes[at] | {"seed": (run - 1) // RECIPES}, hashes[at])
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()


def _recipes(epochs: int) -> Iterator[Recipe]:
    base = PRESETS["page-2018"].recipe if "page-2018" in PRESETS else Recipe()
    for number in range(RECIPES):
        changes: dict[str, Any] = {
            "epochs": epochs,
            "schedule": base.schedule.model_copy(),
            "batch_size": (256, 512, 768)[number % 3],
        }
        made = base.model_copy(update=changes)
        weight_decay = made.optimizer.weight_decay.model_copy(update={"value": 1e-4 * (1 + number // 3)})
        yield made.model_copy(update={"optimizer": made.optimizer.model_copy(update={"weight_decay": weight_decay})})


def _write(connection: Any, random: Any, run: int, recipe: dict[str, Any], hashed: str) -> None:
    epochs, hardware = recipe["epochs"], HARDWARE[run % len(HARDWARE)]
    quality = 0.9395 + 0.002 * np.sin(float(int(hashed[:6], 16)))
    curve = quality + random.normal(0, 0.0015) - 0.6 * np.exp(-np.arange(1, epochs + 1) / (epochs / 6))
    accuracy = np.round(np.clip(curve + random.normal(0, 0.002, epochs), 0, 1), 4)
    seconds = np.round(random.normal(0.7, 0.01, epochs), 4)
    elapsed = np.cumsum(seconds)
    reached = np.flatnonzero(accuracy >= recipe["target_accuracy"])
    packed = b""
    for epoch in range(epochs):
        packed = milestones.append_milestone(packed, epoch + 1, float(elapsed[epoch]), None, float(accuracy[epoch]))
    began = BEGAN + timedelta(minutes=3 * run)
    ended = began + timedelta(seconds=float(elapsed[-1]) + 20)
    best = int(np.argmax(accuracy))
    row = {
        "id": run, "name": f"run {run}", "status": "succeeded", "priority": 0,
        "tags": json.dumps([f"week {run // 2000}"]), "notes": "", "recipe": json.dumps(recipe), "recipe_hash": hashed,
        "dataset": "cifar10", "backend": "tensorflow", "seed": recipe["seed"], "epochs": epochs, "attempt": 1,
        "trail": f"{run:016x}", "trail_from": 1, "strikes": 0, "forced": 0, "created_at": _text(began),
        "started_at": _text(began), "ended_at": _text(ended), "last_epoch": epochs,
        "last_val_accuracy": float(accuracy[-1]), "best_val_accuracy": float(accuracy[best]), "best_epoch": best + 1,
        "time_to_target": float(elapsed[reached[0]]) if len(reached) else None, "elapsed_seconds": float(elapsed[-1]),
        "spent_seconds": float(elapsed[-1]), "milestones": packed, "worker": f"lab/gpu:{run % 2}",
        "hardware": hardware, "fingerprint": "c" * 64, "version": "0.1.0", "train_images": 50_000,
        "val_images": 10_000, "classes": 10, "images_per_epoch": 50_000, "is_resumed": 0,
    }  # fmt: skip
    marks = ", ".join("jsonb(:recipe)" if key == "recipe" else f":{key}" for key in row)
    connection.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", row)
    started = STARTED | {"environment": {"device": hardware, "pitwall": "0.1.0", "dataset_fingerprint": "c" * 64}}
    connection.execute(
        "INSERT INTO attempts (run_id, number, worker, device, claimed_at, started_at, ended_at, outcome, exit_code, "
        "next_seq, log_size, resumed_from_epoch, checkpoint_epoch, checkpoint_step, started, evidence) "
        "VALUES (?, 1, ?, 'gpu:0', ?, ?, ?, 'succeeded', 0, ?, 0, 0, ?, 0, ?, '[]')",
        (run, row["worker"], row["created_at"], row["created_at"], row["ended_at"], epochs + 2, epochs,
         json.dumps(started)),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO epochs (run_id, attempt, epoch, train_loss, train_accuracy, val_loss, val_accuracy, "
        "learning_rate, seconds, input_seconds, val_seconds, compile_seconds, at) "
        "VALUES (?, 1, ?, ?, ?, ?, ?, 0.1, ?, 0, 0.1, 0, ?)",
        (
            (run, epoch + 1, 1.0 - float(accuracy[epoch]), float(accuracy[epoch]), 1.1 - float(accuracy[epoch]),
             float(accuracy[epoch]), float(seconds[epoch]), row["ended_at"])
            for epoch in range(epochs)
        ),
    )  # fmt: skip


def _text(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(" ", "microseconds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.runs, arguments.epochs)
