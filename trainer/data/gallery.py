"""Reads single training images without loading a whole data set, for previews in a process that must stay small.

A separate process writes each data set once as one file of images, in the run's order; images are then read from that
file. `python -m trainer.data.gallery NAME --datasets ROOT --to FILE` is that process. Never downloads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data import cifar, datasets, digits
from trainer.data import folders as picture_folders
from trainer.failures import DatasetDamaged, DatasetMissing, RecipeMistake
from trainer.recipe import Dataset

TIMEOUT_S = 60.0  # for writing the file; CIFAR takes about two seconds, a large folder of photographs may take longer
IMAGE_BYTES = 32 * 32 * 3  # bytes
HASH_DIGITS = 16  # hex digits in the name of a file
FORMAT_VERSION = 2  # of the files: training images, then those of the test split


class ImageFile:
    """Rows of a file, indexed like an array: `file[slice]` and `file[numbers]` are uint8 (n, 32, 32, 3)."""

    def __init__(self, path: Path, rows: int, first: int = 0) -> None:
        """`rows` images, from number `first` in the file."""
        self.path, self.first = path, first
        self.shape = (rows, 32, 32, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, asked: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        with self.path.open("rb") as file:
            if isinstance(asked, slice):
                first, last, _ = asked.indices(len(self))
                offset = (self.first + first) * IMAGE_BYTES
                flat = np.fromfile(file, np.uint8, max(last - first, 0) * IMAGE_BYTES, offset=offset)
            else:
                rows = [
                    os.pread(file.fileno(), IMAGE_BYTES, (self.first + int(number)) * IMAGE_BYTES) for number in asked
                ]
                flat = np.frombuffer(b"".join(rows), np.uint8)
        return flat.reshape(-1, 32, 32, 3)


@dataclass(frozen=True)
class Split:
    """A recipe's training or validation images, with its limits applied."""

    images: Any  # ImageFile or an array: both have len, shape, slices and rows
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    key: str  # the same for the same files


class Gallery:
    """Opens data sets. Safe to use from several threads, which never write the same file at once."""

    def __init__(
        self,
        root: Path,
        cache: Path,
        patience_s: float = TIMEOUT_S,
        run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
    ) -> None:
        """`root`: of the data sets. `cache`: of the files. `run` starts the process that writes a file within
        `patience_s`."""
        self.root, self.cache, self._patience_s, self._run = root, cache, patience_s, run
        self._lock = Lock()
        self._refused: dict[str, str] = {}  # data sets that could not be read, and why: not retried at every keystroke

    def training(self, dataset: Dataset) -> Split:
        """The images that a run on `dataset` trains on. Raises DatasetMissing, DatasetDamaged, RecipeMistake."""
        train, _ = self._both(dataset.name)
        return _slice_split(train, slice(datasets.count_training_images(dataset, len(train.labels))))

    def validation(self, dataset: Dataset) -> Split:
        """The images that it is validated on, in the order of its predictions. Raises the same."""
        train, test = self._both(dataset.name)
        if dataset.val_from_train is None:
            return _slice_split(test, slice(dataset.val_limit or len(test.labels)))
        datasets.count_training_images(dataset, len(train.labels))  # raises if fewer can be held out
        first = len(train.labels) - dataset.val_from_train
        return _slice_split(
            train, slice(first, first + min(dataset.val_limit or dataset.val_from_train, dataset.val_from_train))
        )

    def _both(self, name: str) -> tuple[Split, Split]:
        """All training and test images."""
        info = datasets.find_dataset(name, self.root)
        if not info.available:
            raise DatasetMissing(f"{name} is not on this machine yet", info.note)
        if name == "digits":
            images, labels, test_images, test_labels = digits.read()
            return Split(images, labels, info.classes, name), Split(test_images, test_labels, info.classes, name)
        return self._laid_out(name)

    def _laid_out(self, name: str) -> tuple[Split, Split]:
        key = _signature(name, self.root)
        if key in self._refused:
            raise DatasetDamaged(self._refused[key], "")
        path = self.cache / f"{key}.rgb"
        with self._lock:
            if not path.is_file():
                self._lay_out(name, key, path)
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as kept:
            labels, tests, classes = kept["labels"], kept["tests"], tuple(str(one) for one in kept["classes"])
        train = Split(ImageFile(path, len(labels)), labels, classes, key)
        return train, Split(ImageFile(path, len(tests), len(labels)), tests, classes, key)

    def _lay_out(self, name: str, key: str, path: Path) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        self._clear(name)
        command = [sys.executable, "-m", "trainer.data.gallery", name, "--datasets", str(self.root), "--to", str(path)]
        try:
            home = Path(__file__).parents[2]
            done = self._run(command, capture_output=True, text=True, timeout=self._patience_s, check=False, cwd=home)
            said = (
                done.stderr.strip().rpartition("\n")[2] or f"the process that read {name} ended with {done.returncode}"
            )
            why = said if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = f"{name} takes more than {self._patience_s:.0f} s to read, too long for a preview"
        if why:
            self._clear(name)
            self._refused[key] = why
            raise DatasetDamaged(why, "")

    def _clear(self, name: str) -> None:
        """Remove a data set's files, including partial ones of a killed process."""
        hashed = f"{_file_name(name)}-{'[0-9a-f]' * HASH_DIGITS}."  # matches folder:a, not folder:a-b
        for old in [*self.cache.glob(f"{hashed}*"), *self.cache.glob(f".{hashed}*")]:
            old.unlink(missing_ok=True)


def _slice_split(shelf: Split, at: slice) -> Split:
    images, (first, last, _) = shelf.images, at.indices(len(shelf.labels))
    some = ImageFile(images.path, last - first, images.first + first) if isinstance(images, ImageFile) else images[at]
    return Split(some, shelf.labels[at], shelf.classes, f"{shelf.key}:{first}:{last}")


def _signature(name: str, root: Path) -> str:
    """Changes when the files do. For a folder: the number of images and the times of the class folders."""
    if name.startswith("folder:"):
        home = root / name.removeprefix("folder:")
        folders = sorted((home / "train").iterdir())
        said: list[Any] = [(path.name, path.stat().st_mtime_ns) for path in folders]
        said.append(("pictures", len(picture_folders.list_files(home.name, root).train)))
    else:
        published = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}[name]
        folder = root / published.folder
        files = [folder / part for part in published.train_files] if folder.is_dir() else [root / published.archive]
        said = [(str(path), path.stat().st_mtime_ns) for path in files if path.exists()]
    said.append(FORMAT_VERSION)
    return f"{_file_name(name)}-{hashlib.sha256(repr(said).encode()).hexdigest()[:HASH_DIGITS]}"


def _file_name(name: str) -> str:
    return name.replace(":", "-")


def _write_images(name: str, root: Path, path: Path) -> None:
    """Write all images of a data set as raw bytes, with labels and classes in a second file."""
    data = datasets.load(Dataset(name=name), root, lambda line: None)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    np.savez(path.with_suffix(".npz"), labels=data.train_labels, tests=data.val_labels, classes=np.array(data.classes))
    np.concatenate([data.train_images, data.val_images]).tofile(part)
    part.replace(path)  # complete or not at all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trainer.data.gallery")
    parser.add_argument("name")
    parser.add_argument("--datasets", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        _write_images(arguments.name, arguments.datasets, arguments.to)
    except (DatasetMissing, DatasetDamaged, RecipeMistake, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # what the caller reads
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
