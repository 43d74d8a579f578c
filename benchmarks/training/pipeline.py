"""The host's augmentation: pictures a second of one core, beside a plain imgaug loop, and what it costs a training.

CIFAR-10 is used where the data folder has it (PITWALL_DATA_DIR or data/), noise of the same shape elsewhere: the
operations take as long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, interval_of_median, median
from benchmarks.pace import FULL, Pace

ROUNDS = 9
PICTURES, BATCH = 4096, 128
PAIRS = 5
TRAINED, EPOCHS = 6400, 4  # pictures of the paired trainings; the first epoch warms up and is left out

OPERATIONS: list[dict[str, Any]] = [{"op": "flip"}, {"op": "pad_crop"}, {"op": "cutout"}]


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    return [*_per_core(pace.amount(ROUNDS, 1)), *_end_to_end(folder, pace.amount(PAIRS, 1), pace.amount(EPOCHS, 2))]


def _per_core(rounds: int) -> list[Figure]:
    """A round of ours, a round of theirs; by the seconds of the process, so that neighbours do not count."""
    images = np.random.default_rng(0).integers(0, 256, (PICTURES, 32, 32, 3), dtype=np.uint8)
    ours, plain = _batched(images), _one_by_one(images[:512])
    ours(), plain()
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        rates["ours"].append(PICTURES / _cpu_seconds(ours))
        rates["plain"].append(512 / _cpu_seconds(plain))
    ratio = median([ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True)])
    return [
        Figure("flip, pad-crop, cutout: pictures/s per core, batches of 128", f"{median(rates['ours']):,.0f}", "–"),
        Figure("the same, plain imgaug loop, one picture at a time", f"{median(rates['plain']):,.0f}", "–"),
        Figure(f"batches over the plain loop, median of {rounds} pairs", f"{ratio:.1f} times", "≥ 5"),
    ]


def _batched(images: np.ndarray) -> Callable[[], None]:
    from trainer.augment.pipeline import Pipeline
    from trainer.augment.selections import Selection
    from trainer.recipe import Recipe

    pipeline = Pipeline(Recipe.model_validate({"augment": OPERATIONS}), images)

    def run() -> None:
        for at in range(0, len(images), BATCH):
            pipeline.batch(1, Selection(np.arange(at, at + BATCH)))

    return run


def _one_by_one(images: np.ndarray) -> Callable[[], None]:
    """As somebody writes it first: a Sequential, called for each picture, then yu4u's eraser as published."""
    from trainer.augment.imgaug_shim import import_imgaug

    iaa, _ = import_imgaug()
    sequence = iaa.Sequential(
        [iaa.Fliplr(0.5), iaa.Pad(px=4, pad_mode="reflect", keep_size=False), iaa.CropToFixedSize(32, 32)]
    )
    generator = np.random.default_rng(0)

    def erase(picture: np.ndarray) -> np.ndarray:
        if generator.random() > 0.5:
            return picture
        while True:
            s, r = generator.uniform(0.02, 0.4) * 1024, generator.uniform(0.3, 1 / 0.3)
            w, h = int(np.sqrt(s / r)), int(np.sqrt(s * r))
            left, top = generator.integers(0, 32), generator.integers(0, 32)
            if left + w <= 32 and top + h <= 32:
                break
        picture[top : top + h, left : left + w] = generator.uniform(0, 1, (h, w, 3))
        return picture

    def run() -> None:
        for picture in images:
            erase(sequence.augment_image(picture).astype(np.float32) / 255)

    return run


def _cpu_seconds(run: Callable[[], None]) -> float:
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run()
    return time.process_time() - began


def _end_to_end(folder: Path, pairs: int, epochs: int) -> list[Figure]:
    """Pairs of the same training, augmented in each epoch and ahead of the loop, in turn; processes of their own."""
    data = Path(os.environ.get("PITWALL_DATA_DIR", "data")) / "datasets"
    has_cifar = (data / "cifar-10-batches-py").is_dir()
    ratios, speeds = [], []
    for pair in range(pairs):
        both = {}
        for when in ("each_epoch", "once") if pair % 2 else ("once", "each_epoch"):
            both[when] = _speed(folder, when, data, epochs)
        ratios.append(both["each_epoch"] / both["once"])
        speeds.append(both["each_epoch"])
    low, high = interval_of_median(ratios)
    what = "CIFAR-10" if has_cifar else "digits"
    return [
        Figure(f"width 8, {what}: pictures/s end to end, augmented each epoch", f"{median(speeds):,.0f}", "–"),
        Figure(
            "that over the same augmented ahead of the loop",
            f"median {median(ratios):.3f} of {pairs} pairs (90 %: {low:.3f} to {high:.3f})",
            "≥ 0.85",
        ),
    ]


def _speed(folder: Path, when: str, data: Path, epochs: int) -> float:
    """Pictures a second over the epochs after the first."""
    has_cifar = (data / "cifar-10-batches-py").is_dir()
    pictures = TRAINED if has_cifar else 1400
    recipe = {
        "dataset": {"name": "cifar10" if has_cifar else "digits", "train_limit": pictures, "val_limit": 100},
        "model": {"width": 8},
        "augment": OPERATIONS,
        "augment_when": when,
        "batch_size": BATCH,
        "last_batch": "drop",
        "epochs": epochs,
    }
    file = folder / f"{when}.json"
    file.write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "trainer", str(file), "--datasets", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    seconds = [row["seconds"] for row in rows if row["event"] == "epoch"][1:]
    return pictures // BATCH * BATCH / median(seconds)
