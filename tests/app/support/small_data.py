"""Data sets so small that a test can write them, in the layouts that Pitwall reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.trainer.conftest import published_cifar10, write_folder

CIFAR = "cifar-10-batches-py"
CLASSES = ("cat", "dog")


def picture_folder(home: Path, pictures: int = 5) -> None:
    """A data set of one's own: `pictures` of each class, each of another colour and size."""
    random = np.random.default_rng(len(home.name))
    for split in ("train", "test"):
        for label in CLASSES:
            (home / split / label).mkdir(parents=True)
            for number in range(pictures):
                pixels = random.integers(0, 256, (20 + number, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(home / split / label / f"{number}.png")


def made(name: str, root: Path) -> str:
    """The data set `name` under `root`, small; answers its name in a recipe."""
    if name == "cifar10":
        write_folder(root / CIFAR, published_cifar10())
    elif name.startswith("folder:"):
        picture_folder(root / name.removeprefix("folder:"))
    return name
