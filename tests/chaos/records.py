"""What must be true of the records afterwards, whatever was done: read from the database file itself.

Only when no app has it open. Must not know how the records came about.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pysqlite3
from numpy.typing import NDArray

from app.records.files import artifact_path, log_path
from tests.e2e.support.processes import ROOT
from trainer.loop import checkpoint_file
from trainer.protocol import CHECKPOINT

NUMBERS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "penalty")
TRAINER = ("tests.chaos.light_trainer", "--processes", "0")


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run of a recipe ends with."""

    rows: list[tuple[Any, ...]]  # (epoch, numbers …)
    tensors: str  # SHA-256 of all that its last checkpoint holds


def reference(recipe: Mapping[str, Any], folder: Path, module: tuple[str, ...] = TRAINER) -> Reference:
    """Train it alone, with nobody to disturb it."""
    done = subprocess.run(
        [sys.executable, "-m", *module, "-", "--dir", str(folder), "--checkpoint-every", "0"],
        cwd=ROOT, input=json.dumps(recipe), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    last = checkpoint_file.read_newest(folder)
    assert last is not None
    rows = [(one["epoch"], *(one.get(name) for name in NUMBERS)) for one in said if one["event"] == "epoch"]
    return Reference(rows, digest(last.tensors))


def digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        whole.update(np.ascontiguousarray(tensors[name]).tobytes())
    return whole.hexdigest()


class Records:
    """The database of a world whose app has ended."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._connection = pysqlite3.connect(data_dir / "pitwall.db")
        self._connection.row_factory = pysqlite3.Row
        self.runs = self.rows("SELECT * FROM runs ORDER BY id")
        self.attempts = self.rows("SELECT * FROM attempts ORDER BY run_id, number")
        self.epochs = self.rows("SELECT * FROM epochs ORDER BY id")
        self.events = self.rows("SELECT id, run_id, attempt, seq, kind FROM events ORDER BY id")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(sql)]

    def close(self) -> None:
        self._connection.close()

    def broken(self) -> list[str]:
        """Sentences about all that must be true of any records, and is not."""
        found = [f"integrity_check: {row}" for row in self.rows("PRAGMA integrity_check") if "ok" not in row.values()]
        found += [f"foreign key: {row}" for row in self.rows("PRAGMA foreign_key_check")]
        of_run = defaultdict(list)
        for attempt in self.attempts:
            of_run[attempt["run_id"]].append(attempt)
        for run in self.runs:
            found += [f"run {run['id']} {words}" for words in _broken(run, of_run[run["id"]], self.curve(run))]
        for one in self.attempts:
            log = log_path(self.data_dir, one["run_id"], one["number"])
            size = log.stat().st_size if log.exists() else 0
            if one["outcome"] == "succeeded" and size != one["log_size"]:
                found.append(f"run {one['run_id']}: its log has {size} bytes, and should have {one['log_size']}")
        for (run_id, number), seqs in self._seqs().items():
            if any(late <= early for early, late in pairwise(seqs)):
                found.append(f"run {run_id}, attempt {number}: its events are not in order, or doubled: {seqs}")
        return found

    def curve(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The shown rows: the highest attempt of each epoch, of the present trail."""
        mine = [row for row in self.epochs if row["run_id"] == run["id"] and row["attempt"] >= run["trail_from"]]
        shown = {row["epoch"]: row for row in sorted(mine, key=lambda row: int(row["attempt"]))}
        return [shown[epoch] for epoch in sorted(shown)]

    def unlike(self, run: Mapping[str, Any], wanted: Reference) -> str | None:
        """Whether a finished run is bit-same to its undisturbed sibling; None, or in words what differs."""
        rows = [(row["epoch"], *(row[name] for name in NUMBERS)) for row in self.curve(run)]
        if rows != wanted.rows:
            other = [f"{mine} instead of {theirs}" for mine, theirs in zip(rows, wanted.rows, strict=False)]
            other = [words for words in other if len(set(words.split(" instead of "))) > 1]
            return f"run {run['id']}: {len(rows)} of {len(wanted.rows)} epochs; {other[:1]}"
        found = self.rows(f"SELECT * FROM artifacts WHERE run_id = {run['id']} AND name = '{CHECKPOINT}'")
        if not found:
            return f"run {run['id']}: its checkpoint was never handed in"
        last = checkpoint_file.read_checkpoint(artifact_path(self.data_dir, run["id"], found[0]["sha256"]))
        if last.metadata.place.epoch != run["epochs"]:
            return f"run {run['id']}: the checkpoint that was handed in is of epoch {last.metadata.place.epoch}"
        return None if digest(last.tensors) == wanted.tensors else f"run {run['id']}: its weights differ"

    def resumed(self) -> int:
        """Attempts that went on from a checkpoint."""
        started = [json.loads(one["started"]) for one in self.attempts if one["started"]]
        return sum(bool(one["resumed_from_epoch"] or one["resumed_at_step"]) for one in started)

    def _seqs(self) -> dict[tuple[int, int], list[int]]:
        found = defaultdict(list)
        for event in self.events:
            if event["seq"] is not None:
                found[event["run_id"], event["attempt"]].append(event["seq"])
        return found


def _broken(run: dict[str, Any], attempts: list[dict[str, Any]], curve: list[dict[str, Any]]) -> list[str]:
    held = run["status"] in {"starting", "running"}
    found = []
    if [one["number"] for one in attempts] != list(range(1, run["attempt"] + 1)):
        found.append(f"has attempts {[one['number'] for one in attempts]}, and is at {run['attempt']}")
    still_open = [one["number"] for one in attempts if one["outcome"] is None]
    if still_open != ([run["attempt"]] if held else []):
        found.append(f"is {run['status']}, and its open attempts are {still_open}")
    epochs = [row["epoch"] for row in curve]
    if epochs != list(range(1, len(epochs) + 1)):
        found.append(f"has epochs {epochs}")
    if run["last_epoch"] != len(epochs):
        found.append(f"says that its last epoch is {run['last_epoch']}, and has {len(epochs)}")
    succeeded = [one["number"] for one in attempts if one["outcome"] == "succeeded"]
    if run["status"] == "succeeded" and len(epochs) != run["epochs"]:
        found.append(f"has succeeded with {len(epochs)} of {run['epochs']} epochs")
    if succeeded != ([run["attempt"]] if run["status"] == "succeeded" else []):
        found.append(f"is {run['status']}, and its succeeded attempts are {succeeded}")
    if (run["ended_at"] is not None) != (run["status"] in {"succeeded", "failed", "cancelled"}):
        found.append(f"is {run['status']}, and ended at {run['ended_at']}")
    return found
