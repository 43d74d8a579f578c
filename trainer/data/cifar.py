"""CIFAR-10 and CIFAR-100 as published: folders of Python pickles, or the .tar.gz with them.

Source: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). Pickles can run arbitrary code,
so the unpickler here accepts arrays only, and archives are never extracted.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.data.downloads import Note, download, verify
from trainer.failures import DatasetDamaged

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]

# far above any published file (31 MB per batch, 154 MB for CIFAR-100), far below what would exhaust memory
MAX_FILE_BYTES = 400 * 2**20


@dataclass(frozen=True)
class PublishedDataset:
    """A data set as published by its author."""

    url: str
    sha256: str  # of the archive
    folder: str  # inside the archive, and next to it if unpacked by hand
    train_files: tuple[str, ...]
    val_file: str
    meta_file: str
    labels_key: bytes
    names_key: bytes

    @property
    def archive(self) -> str:
        return self.url.rsplit("/", 1)[1]


CIFAR10 = PublishedDataset(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    train_files=tuple(f"data_batch_{number}" for number in range(1, 6)),
    val_file="test_batch",
    meta_file="batches.meta",
    labels_key=b"labels",
    names_key=b"label_names",
)
CIFAR100 = PublishedDataset(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    train_files=("train",),
    val_file="test",
    meta_file="meta",
    labels_key=b"fine_labels",
    names_key=b"fine_label_names",
)


def is_available(published: PublishedDataset, root: Path) -> bool:
    """Whether the data set can be read from `root` without a network. Checks names only."""
    return (root / published.folder).is_dir() or (root / published.archive).is_file()


def read(published: PublishedDataset, root: Path, note: Note) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """((train_images, train_labels), (val_images, val_labels), class names), in the published order.

    Images uint8 (n, 32, 32, 3), labels int64 (n,). Reads the folder if there is one, otherwise the archive, which is
    downloaded into `root` if missing. Raises DatasetMissing, DatasetDamaged.
    """
    if (root / published.folder).is_dir():
        contents = _read_folder(root / published.folder, published)
        where = str(root / published.folder)
    else:
        archive = root / published.archive
        if archive.is_file():
            verify(archive, published.sha256)
        else:
            download(published.url, published.sha256, archive, note)
        contents = _read_archive(archive, published)
        where = str(archive)
    return _decode(contents, published, where)


def _read_folder(folder: Path, published: PublishedDataset) -> dict[str, bytes]:
    contents = {}
    for name in (*published.train_files, published.val_file, published.meta_file):
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise _damage_error(str(folder), f"{name} cannot be read ({error.strerror})") from error
    return contents


def _read_archive(archive: Path, published: PublishedDataset) -> dict[str, bytes]:
    """Reads the needed files into memory: no name from the archive is ever used as a path."""
    wanted = {
        f"{published.folder}/{name}": name for name in (*published.train_files, published.val_file, published.meta_file)
    }
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.isfile() and member.name in wanted and member.size <= MAX_FILE_BYTES:
                    file = tar.extractfile(member)
                    assert file is not None  # it is a file
                    contents[wanted[member.name]] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damage_error(str(archive), f"it cannot be unpacked ({error})") from error
    missing = sorted(set(wanted.values()) - set(contents))
    if missing:
        raise _damage_error(str(archive), f"it lacks {', '.join(missing)}")
    return contents


def _decode(
    contents: dict[str, bytes], published: PublishedDataset, where: str
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    meta = _unpickle(contents[published.meta_file], f"{where}: {published.meta_file}")
    try:
        names = tuple(_text(name) for name in meta[published.names_key])
    except (KeyError, TypeError, ValueError) as error:
        raise _damage_error(where, f"{published.meta_file} names no classes") from error
    rows = meta.get(b"num_cases_per_batch") if len(published.train_files) > 1 else None
    parts = [
        _decode_batch(contents[name], published, len(names), rows, f"{where}: {name}") for name in published.train_files
    ]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    val = _decode_batch(contents[published.val_file], published, len(names), rows, f"{where}: {published.val_file}")
    return (images, labels), val, names


def _decode_batch(content: bytes, published: PublishedDataset, classes: int, rows: Any, where: str) -> Arrays:
    batch = _unpickle(content, where)
    data, labels = batch.get(b"data"), batch.get(published.labels_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3 * 32 * 32,):
        raise _damage_error(where, "it contains no images of 3 x 32 x 32 bytes")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise _damage_error(where, "it contains no labels")
    numbers = np.array(labels, dtype=np.int64)
    if len(numbers) != len(data) or (rows is not None and len(data) != rows) or not len(data):
        raise _damage_error(where, f"{len(data)} images, {len(numbers)} labels, {rows or 'as many'} expected")
    if numbers.min() < 0 or numbers.max() >= classes:
        raise _damage_error(where, f"labels must be 0..{classes - 1}")
    # stored channel by channel (all red, all green, all blue)
    return np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), numbers


def _unpickle(content: bytes, where: str) -> dict[Any, Any]:
    try:
        value = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    # to the unpickler, damaged bytes are a program that can fail in any of these ways
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
        OverflowError, MemoryError, AssertionError, RecursionError, NotImplementedError,
    ) as error:  # fmt: skip
        raise _damage_error(where, f"it cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise _damage_error(where, "it contains no table")
    return value


class _ArraysOnly(pickle.Unpickler):
    """Builds dicts, lists, strings, numbers and NumPy arrays; refuses to import anything else."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = {
        # two functions that rebuild arrays (the second is pickle protocol 5's), under NumPy 1's and 2's names
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy.core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]
        ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs") from None


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _damage_error(where: str, what: str) -> DatasetDamaged:
    place = where.split(": ", maxsplit=1)[0]
    return DatasetDamaged(f"{where} is damaged: {what}", f"Delete {place} and it will be downloaded again.")
