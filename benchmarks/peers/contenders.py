"""Who can train a recipe: Pitwall's engine, Keras' `model.fit`, PyTorch. Each in a child process of its own.

A contender is a command that takes a recipe's file and `--datasets`, and says its epochs as the trainer does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from app.metrics.images_trained import images_per_epoch_of
from benchmarks.figures import median
from trainer.recipe import Recipe
from trainer.recipe.knobs import list_errors

ROOT = Path(__file__).parents[2]
CIFAR10_IMAGES = 50_000  # to train on
INSTALLED = "PITWALL_BENCH_TORCH"  # a virtual environment that has PyTorch already


class NotMeasured(Exception):
    """It is not available here; the message says why."""


@dataclass(frozen=True)
class Contender:
    name: str
    command: tuple[str, ...]
    knobs: dict[str, Any] = field(default_factory=dict)  # of the recipe, laid over it
    environment: dict[str, str] = field(default_factory=dict)
    needs: str = ""  # a package of our own environment


@dataclass(frozen=True)
class Measured:
    images_per_second: float  # over the epochs after the first, which warms up
    peak_mib: float  # resident, of the process or of the largest that it started
    accuracy: float
    seconds: float  # of the whole process
    cores: float  # that it had, on average


def pitwall(backend: str, augment_engine: str = "", *, name: str = "") -> Contender:
    """`augment_engine` empty: the recipe's own."""
    knobs = {"backend": backend} | ({"augment_engine": augment_engine} if augment_engine else {})
    command = (sys.executable, "-m", "trainer")
    return Contender(name or f"Pitwall, {backend}, {augment_engine}", command, knobs, needs=backend)


def fit() -> Contender:
    return Contender("model.fit and imgaug", (sys.executable, "-m", "benchmarks.peers.fit_side"))


def pytorch(
    python: Path, *, is_compiled: bool = False, as_page: bool = False, environment: dict[str, str]
) -> Contender:
    """`as_page`: with David Page's update, which Keras' is, too (torch_side.py)."""
    options = (*(["--compile"] if is_compiled else []), *(["--page"] if as_page else []))
    command = (str(python), "-m", "benchmarks.peers.torch_side", *options)
    return Contender("PyTorch, compiled" if is_compiled else "PyTorch, eager", command, environment=environment)


def torch_python(folder: Path) -> Path:
    """The interpreter of an environment with PyTorch, installed into `folder` unless there is one already."""
    venv = Path(os.environ.get(INSTALLED) or folder / "torch").absolute()
    python = venv / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        try:
            subprocess.run([*uv, "venv", "-q", "--python", sys.executable, venv], check=True)
            packages = ["torch", "numpy", "pydantic"]
            subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotMeasured(f"PyTorch cannot be installed: {error}") from error
    return python


def recipe_for(contender: Contender, recipe: Recipe) -> Recipe:
    """Raises NotMeasured where a package is missing, or where a recipe has no such knob."""
    if contender.needs and importlib.util.find_spec(contender.needs) is None:
        raise NotMeasured(f"{contender.needs} is not installed")
    try:
        return Recipe.model_validate({**recipe.model_dump(mode="json"), **contender.knobs})
    except ValidationError as error:
        raise NotMeasured("; ".join(f"{path}: {sentence}" for path, sentence in list_errors(error))) from error


def measured(contender: Contender, recipe: Recipe, datasets: Path) -> Measured:
    """Train it in a child. Raises NotMeasured with the child's last words where that fails."""
    recipe = recipe_for(contender, recipe)
    with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
        file, log = Path(folder) / "recipe.json", Path(folder) / "log"
        file.write_text(recipe.model_dump_json(), encoding="utf-8")
        began = perf_counter()
        with log.open("wb") as words:
            child = subprocess.Popen(
                [*contender.command, str(file), "--datasets", str(datasets.absolute())],
                cwd=ROOT, env={**os.environ, **contender.environment}, stdout=subprocess.PIPE, stderr=words,
            )  # fmt: skip
            assert child.stdout
            with child.stdout as events:
                said = events.read().decode()
            _, status, used = os.wait4(child.pid, 0)  # its own peak and its own processor time
        seconds = perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise NotMeasured(f"exit code {child.returncode}: {' '.join(last)}")
    rows = [row for row in map(json.loads, said.splitlines()) if row["event"] == "epoch"]
    return Measured(
        images_per_second=images_per_epoch_of(recipe, recipe.dataset.train_limit or CIFAR10_IMAGES)
        / median([row["seconds"] for row in rows[1:] or rows]),
        peak_mib=used.ru_maxrss / 1024,
        accuracy=_counted(rows[-1]),
        seconds=seconds,
        cores=(used.ru_utime + used.ru_stime) / seconds,
    )


def _counted(row: dict[str, Any]) -> float:
    """With TTA if the recipe enables it."""
    tta = row.get("tta_accuracy")
    return float(row["val_accuracy"] if tta is None else tta)
