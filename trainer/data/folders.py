"""A data set of one's own: NAME/{train,test}/<class>/*.png|jpg|jpeg under the data sets' folder.

Must not know recipes, limits or ML frameworks. Names come from strangers: nothing outside `root` is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.failures import DatasetDamaged, DatasetMissing

SUFFIXES = (".png", ".jpg", ".jpeg")
SIDE = 32  # pixels; every picture is brought to this height and width, whatever its shape


@dataclass(frozen=True)
class FolderFiles:
    """What lies in a folder, none of it opened yet. Labels are positions in `classes`."""

    classes: tuple[str, ...]
    train: list[tuple[Path, int]]
    val: list[tuple[Path, int]]


def list_names(root: Path) -> list[str]:
    """Folders under `root` that look like such a data set, sorted."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if _is_folder(entry / "train") and _is_folder(entry / "test"))


def list_files(name: str, root: Path) -> FolderFiles:
    """The classes and files of `root`/`name`. Raises DatasetMissing, DatasetDamaged."""
    home = root / name
    layout = f"Put pictures into {home}/train/<class>/ and {home}/test/<class>/ as .png or .jpg."
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
            raise DatasetDamaged(f"{home}/{split} holds no pictures", layout)
    return FolderFiles(classes, train, val)


def read_images(files: list[tuple[Path, int]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (n, 32, 32, 3) RGB, squeezed to a square, and labels int64 (n,).

    In an order that mixes the classes and is the same each time. Raises DatasetDamaged naming the file.
    """
    mixed = np.random.Generator(np.random.PCG64(0)).permutation(len(files))
    images = np.empty((len(files), SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(len(files), dtype=np.int64)
    for row, number in enumerate(mixed):
        path, labels[row] = files[number]
        images[row] = _read_image(path)
    return images, labels


def _list_images(split: Path, classes: tuple[str, ...], root: Path) -> list[tuple[Path, int]]:
    """Pictures and labels in the order of their names. Only links are followed: a look at each file costs too much."""
    found = []
    for label, name in enumerate(classes):
        folder = split / name
        if folder.is_symlink() and not _is_inside(folder, root):
            raise DatasetDamaged(f"{folder} leads out of {root}", "Copy the pictures instead of linking to them.")
        with os.scandir(folder) as entries:
            pictures = sorted(
                (entry.name, entry.is_symlink()) for entry in entries if entry.name.lower().endswith(SUFFIXES)
            )
        for picture, is_link in pictures:
            if is_link and not _is_inside(folder / picture, root):
                raise DatasetDamaged(f"{folder / picture} leads out of {root}", "Copy the picture instead of linking.")
            found.append((folder / picture, label))
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder that we may not enter, such as lost+found
        return False


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            # Pillow's bilinear reads every source pixel when it shrinks, so nothing is skipped.
            small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    # Pillow's readers raise SyntaxError and ValueError for garbled files as well.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetDamaged(f"{path} is not a readable picture: {error}", f"Replace or delete {path}.") from error
    return np.asarray(small, dtype=np.uint8)


def _is_inside(path: Path, root: Path) -> bool:
    """Whether the path, all links followed, stays under `root`, links followed as well."""
    return path.resolve().is_relative_to(root.resolve())
