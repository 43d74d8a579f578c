"""A user's data set: NAME/{train,test}/<class>/*.png|jpg|jpeg in the data sets' folder.

Names are untrusted: nothing outside `root` is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.failures import DatasetDamaged, DatasetMissing

SUFFIXES = (".png", ".jpg", ".jpeg")
SIDE = 32  # pixels; every image is resized to this height and width


@dataclass(frozen=True)
class FolderFiles:
    """The files of a data set. Labels are positions in `classes`."""

    classes: tuple[str, ...]
    train: list[tuple[Path, int]]
    val: list[tuple[Path, int]]


def list_names(root: Path) -> list[str]:
    """Folders under `root` with the layout of a data set, sorted."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if _is_folder(entry / "train") and _is_folder(entry / "test"))


def list_files(name: str, root: Path) -> FolderFiles:
    """The classes and files of `root`/`name`. Raises DatasetMissing, DatasetDamaged."""
    home = root / name
    layout = f"Put images into {home}/train/<class>/ and {home}/test/<class>/ as .png or .jpg."
    if not _is_inside(home, root) or home.resolve() == root.resolve():
        raise DatasetMissing(f"{name} is not a folder inside {root}", layout)
    if not (home / "train").is_dir() or not (home / "test").is_dir():
        raise DatasetMissing(f"there is no data set at {home}", layout)
    classes, test_classes = (
        tuple(sorted(entry.name for entry in (home / split).iterdir() if entry.is_dir())) for split in ("train", "test")
    )
    if classes != test_classes:
        odd = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise DatasetDamaged(f"{home}: train and test have different classes ({odd})", layout)
    if len(classes) < 2:
        raise DatasetDamaged(f"{home}: at least two classes are needed, found {len(classes)}", layout)
    train, val = (_list_images(home / split, classes, root) for split in ("train", "test"))
    for split, files in (("train", train), ("test", val)):
        if not files:
            raise DatasetDamaged(f"{home}/{split} contains no images", layout)
    return FolderFiles(classes, train, val)


def read_images(files: list[tuple[Path, int]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (n, 32, 32, 3) RGB, resized to a square without cropping, and labels int64 (n,).

    In a fixed order that mixes the classes. Raises DatasetDamaged with the file's path.
    """
    mixed = np.random.Generator(np.random.PCG64(0)).permutation(len(files))
    images = np.empty((len(files), SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(len(files), dtype=np.int64)
    for row, number in enumerate(mixed):
        path, labels[row] = files[number]
        images[row] = _read_image(path)
    return images, labels


def _list_images(split: Path, classes: tuple[str, ...], root: Path) -> list[tuple[Path, int]]:
    """Image files and labels, sorted by name. Resolves links only: resolving every path would take too long."""
    found = []
    for label, name in enumerate(classes):
        folder = split / name
        if folder.is_symlink() and not _is_inside(folder, root):
            raise DatasetDamaged(f"{folder} leads out of {root}", "Copy the images instead of linking to them.")
        with os.scandir(folder) as entries:
            pictures = sorted(
                (entry.name, entry.is_symlink()) for entry in entries if entry.name.lower().endswith(SUFFIXES)
            )
        for picture, is_link in pictures:
            if is_link and not _is_inside(folder / picture, root):
                raise DatasetDamaged(f"{folder / picture} leads out of {root}", "Copy the image instead of linking.")
            found.append((folder / picture, label))
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission to enter, such as lost+found
        return False


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            # Pillow's bilinear filter is antialiased: it reads every source pixel when shrinking
            small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    # Pillow also raises SyntaxError and ValueError for damaged files
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetDamaged(f"{path} is not a readable image: {error}", f"Replace or delete {path}.") from error
    return np.asarray(small, dtype=np.uint8)


def _is_inside(path: Path, root: Path) -> bool:
    """Whether the path is under `root`, with all links resolved in both."""
    return path.resolve().is_relative_to(root.resolve())
