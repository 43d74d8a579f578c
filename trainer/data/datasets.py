"""The available data sets, and their images as arrays.

digits ships with Pitwall (digits.py), cifar10 and cifar100 are read or downloaded (cifar.py), folder:NAME is a folder
of images (folders.py).
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data import cifar, digits
from trainer.data import folders as picture_folders
from trainer.data.downloads import Note
from trainer.failures import DatasetDamaged, DatasetMissing, RecipeMistake
from trainer.recipe import DATASET_PATTERN, Dataset

__all__ = ["Data", "DatasetDamaged", "DatasetInfo", "DatasetMissing"]

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True)
class DatasetInfo:
    """What is known without reading images. Sizes are before a recipe's limits; None: unknown."""

    name: str  # as in a recipe
    title: str
    train_images: int | None
    val_images: int | None
    classes: tuple[str, ...]  # empty if not known before reading
    available: bool  # readable without a network
    note: str


@dataclass(frozen=True)
class Data:
    """The data of a run. Images uint8 (n, 32, 32, 3) RGB, labels int64 (n,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    val_images: NDArray[np.uint8]
    val_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str  # SHA-256 of name, classes, shapes and all four arrays


def list_datasets(root: Path) -> list[DatasetInfo]:
    """All data sets: digits, cifar10, cifar100, then the folders under `root`, sorted."""
    folders = [f"folder:{name}" for name in picture_folders.list_names(root)]
    known = [name for name in folders if re.fullmatch(DATASET_PATTERN, name)]
    return [find_dataset(name, root) for name in ("digits", "cifar10", "cifar100")] + [
        _describe_listed(name, root) for name in known
    ]


def find_dataset(name: str, root: Path) -> DatasetInfo:
    """A data set by its recipe name. Raises DatasetMissing if the folder does not exist.

    A damaged folder is returned as unavailable, with the reason in its note.
    """
    match name:
        case "digits":
            note = "Ships with Pitwall."
            return DatasetInfo(name, "Digits", digits.TRAIN_IMAGES, digits.VAL_IMAGES, digits.CLASSES, True, note)
        case "cifar10":
            return _describe_published(name, "CIFAR-10", cifar.CIFAR10, CIFAR10_CLASSES, root)
        case "cifar100":
            return _describe_published(name, "CIFAR-100", cifar.CIFAR100, (), root)
        case _ if re.fullmatch(DATASET_PATTERN, name):
            return _describe_folder(name, root)
    raise DatasetMissing(f"there is no data set {name!r}", "Choose digits, cifar10, cifar100 or folder:NAME.")


def load(dataset: Dataset, root: Path, note: Note) -> Data:
    """Read the images, downloading them if missing, and apply the recipe's limits.

    `note` receives a line when something takes long. Raises DatasetMissing, DatasetDamaged, and RecipeMistake if more
    images are held out than there are.
    """
    root = root.absolute()  # for error messages
    (train_images, train_labels), (val_images, val_labels), classes = _read(dataset.name, root, note)
    if dataset.val_from_train is not None:
        # from the end, so that a training limit moves no images between the splits; classes are mixed in this order
        held_out = slice(len(train_images) - dataset.val_from_train, None)
        val_images, val_labels = train_images[held_out], train_labels[held_out]
    train, val = slice(count_training_images(dataset, len(train_images))), slice(dataset.val_limit)
    arrays = (train_images[train], train_labels[train], val_images[val], val_labels[val])
    return Data(*arrays, classes=classes, fingerprint=_fingerprint(dataset.name, classes, arrays))


def compute_stamp(name: str, root: Path) -> str:
    """Changes when a file of the data set is added, removed or modified. Opens no file."""
    match name:
        case "digits":
            patterns = []
        case "cifar10" | "cifar100":
            published = cifar.CIFAR10 if name == "cifar10" else cifar.CIFAR100
            patterns = [published.archive, published.folder, f"{published.folder}/*"]
        case _:
            home = name.removeprefix("folder:")
            patterns = [home + "/*" * depth for depth in range(4)]  # down to the image files
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        with suppress(OSError):  # a dangling link, or just deleted
            status = path.stat()
            digest.update(repr((str(path), status.st_mtime_ns, status.st_size)).encode())
    return digest.hexdigest()


def count_training_images(dataset: Dataset, images: int) -> int:
    """How many of the `images` training images a run uses, from the first on.

    Raises RecipeMistake if all of them are held out.
    """
    kept = images - (dataset.val_from_train or 0)
    if kept < 1:
        raise RecipeMistake(
            f"dataset.val_from_train: {dataset.val_from_train} images cannot be held out of {images}",
            "Hold out fewer.",
        )
    return min(kept, dataset.train_limit or kept)


def _read(name: str, root: Path, note: Note) -> tuple[cifar.Arrays, cifar.Arrays, tuple[str, ...]]:
    match name:
        case "digits":
            train_images, train_labels, val_images, val_labels = digits.read()
            return (train_images, train_labels), (val_images, val_labels), digits.CLASSES
        case "cifar10":
            return cifar.read(cifar.CIFAR10, root, note)
        case "cifar100":
            return cifar.read(cifar.CIFAR100, root, note)
    files = picture_folders.list_files(name.removeprefix("folder:"), root)
    note(f"reading {len(files.train) + len(files.val):,} images of {name}")
    return picture_folders.read_images(files.train), picture_folders.read_images(files.val), files.classes


def _describe_published(
    name: str, title: str, published: cifar.PublishedDataset, classes: tuple[str, ...], root: Path
) -> DatasetInfo:
    here = cifar.is_available(published, root)
    note = f"In {root}." if here else "Will be downloaded (about 170 MB) at the first run."
    return DatasetInfo(name, title, 50_000, 10_000, classes, here, note)


def _describe_listed(name: str, root: Path) -> DatasetInfo:
    """A folder that links outside `root` is listed as unavailable, with the reason."""
    try:
        return _describe_folder(name, root)
    except DatasetMissing as error:
        return DatasetInfo(name, name.removeprefix("folder:"), None, None, (), False, str(error))


def _describe_folder(name: str, root: Path) -> DatasetInfo:
    title = name.removeprefix("folder:")
    try:
        files = picture_folders.list_files(title, root)
    except (DatasetDamaged, OSError) as error:
        return DatasetInfo(name, title, None, None, (), False, str(error))
    note = f"In {root / title}."
    return DatasetInfo(name, title, len(files.train), len(files.val), files.classes, True, note)


def _fingerprint(name: str, classes: tuple[str, ...], arrays: tuple[NDArray[np.generic], ...]) -> str:
    digest = hashlib.sha256(repr((name, classes)).encode())
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
