"""Writes a folder in CIFAR-10's published layout with random images: the same size and speed, nothing to learn."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from trainer.data.cifar import CIFAR10
from trainer.data.datasets import CIFAR10_CLASSES

EACH = 10_000  # pictures of a file


def write(root: Path) -> Path:
    """Answers `root`, which then serves as a folder of data sets."""
    draw = np.random.default_rng(0)
    folder = root / CIFAR10.folder
    folder.mkdir(parents=True)
    for name in (*CIFAR10.train_files, CIFAR10.val_file):
        pixels, labels = draw.integers(0, 256, (EACH, 3072), dtype=np.uint8), draw.integers(0, 10, EACH).tolist()
        (folder / name).write_bytes(pickle.dumps({b"data": pixels, CIFAR10.labels_key: labels}))
    names = [name.encode() for name in CIFAR10_CLASSES]
    (folder / CIFAR10.meta_file).write_bytes(pickle.dumps({CIFAR10.names_key: names}))
    return root
