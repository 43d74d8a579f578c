"""The file format of checkpoints: everything that a run needs to resume, or only the weights of its best epoch.

safetensors: named arrays and text, and nothing executable. The text holds the metadata (JSON) and a SHA-256 over
metadata and arrays, so that a damaged file is recognized. A file gets its name only when it is completely on the disk.
Importing this is cheap: NumPy and safetensors are imported when a file is read or written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.failures import CheckpointDamaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FORMAT = "pitwall-checkpoint-1"
FILE_NAME = re.compile(r"checkpoint-(\d{5,})-(\d{6,})\.safetensors")
PARTIAL_SUFFIX = ".part"  # of a file that is being written
BUFFER = 2**20  # bytes; small arrays share a write
# NumPy's dtypes and the names that safetensors uses
DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<u8": "U64", "<u4": "U32", "|u1": "U8"}


@dataclass(frozen=True)
class RunPosition:
    """The position of a run, apart from the state on the device."""

    epoch: int = 0  # completed epochs
    step: int = 0  # finished steps of the next epoch
    seconds: float = 0.0  # duration of these steps, over all attempts
    input_seconds: float = 0.0  # part of it in which the device waited for batches
    energy_wh: float | None = None  # of the device in these seconds; None: not measured
    best_epoch: int = 0  # 0: none yet
    best_accuracy: float = 0.0  # validation accuracy, 0..1
    history: list[dict[str, Any]] = field(default_factory=list)  # the `epoch` event of each completed epoch


@dataclass(frozen=True)
class Metadata:
    """Describes the arrays of a checkpoint; stored as JSON."""

    place: RunPosition
    recipe: dict[str, Any]  # complete
    dataset_fingerprint: str
    environment: dict[str, Any]  # in which the checkpoint was made
    # Files of earlier versions have neither of these:
    classes: list[str] = field(default_factory=list)  # names by class number
    normal: list[list[float]] = field(default_factory=list)  # scale and shift of each channel, from normalisation()


@dataclass(frozen=True)
class Checkpoint:
    metadata: Metadata
    tensors: Mapping[str, NDArray[Any]]


def checkpoint_path(folder: Path, place: RunPosition) -> Path:
    return folder / f"checkpoint-{place.epoch:05d}-{place.step:06d}.safetensors"


def parse_position(path: Path) -> tuple[int, int]:
    """(completed epochs, finished steps of the next one), from the file's name. Raises ValueError for other names."""
    if (found := FILE_NAME.fullmatch(path.name)) is None:
        raise ValueError(f"{path.name} is not the name of a checkpoint")
    return int(found[1]), int(found[2])


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder (which need not exist), newest first, including damaged ones."""
    found = [path for path in folder.glob("checkpoint-*.safetensors") if FILE_NAME.fullmatch(path.name)]
    return sorted(found, key=parse_position, reverse=True)


def read_newest(folder: Path, *, drop_damaged: bool = False) -> Checkpoint | None:
    """The newest undamaged checkpoint of a folder; damaged ones are skipped with a warning.

    `drop_damaged` deletes the damaged ones, but not those that could not be read because of an OSError.
    """
    for path in list_checkpoints(folder):
        try:
            return read_checkpoint(path)
        except CheckpointDamaged as problem:
            log.warning("%s; trying an older one", problem)
            if drop_damaged and not isinstance(problem.__cause__, OSError):
                remove_file(path)
    return None


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> int:
    """Write and fsync the file, then rename it; returns its size in bytes. Raises OSError, and leaves no partial file.

    A reader finds the old file or the complete new one, even if this process or the machine crashes.
    """
    import numpy as np

    # largest items first, so that each array is aligned to its item size
    order = sorted(checkpoint.tensors.items(), key=lambda named: (-named[1].dtype.itemsize, named[0]))
    tensors = {name: np.require(array, requirements="C") for name, array in order}
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with open(opened, "wb", buffering=BUFFER) as file:  # noqa: PTH123  # a path could not say "only if it is new"
            file.write(_header(json.dumps(asdict(checkpoint.metadata), separators=(",", ":")), tensors))
            for array in tensors.values():
                file.write(_bytes_of(array))
            file.flush()
            os.fsync(opened)
            size = file.tell()
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError:
        remove_file(temporary)
        raise
    return size


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises CheckpointDamaged if the file cannot be read or is not exactly what was written."""
    import pydantic
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        tensors = load(content)
        text = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        metadata, digest = text["facts"], text["sha256"]
        is_whole = text["format"] == FORMAT and digest == _digest(metadata, tensors)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointDamaged(f"{path} cannot be read as a checkpoint ({error})") from error
    if not is_whole:
        raise CheckpointDamaged(f"{path} is damaged: it is not what was written")
    try:
        return Checkpoint(pydantic.TypeAdapter(Metadata).validate_json(metadata), tensors)
    except pydantic.ValidationError as error:
        raise CheckpointDamaged(f"{path} holds no metadata that this version can read") from error


def read_position(path: Path) -> RunPosition:
    """The position of the run, without reading the arrays. Raises CheckpointDamaged."""
    import pydantic

    try:
        with path.open("rb") as file:
            text = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
        return pydantic.TypeAdapter(Metadata).validate_json(text["facts"]).place
    except (OSError, ValueError, LookupError, TypeError, MemoryError, OverflowError) as error:
        raise CheckpointDamaged(f"{path} cannot be read as a checkpoint ({error})") from error


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that new names in it survive a crash."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove_file(path: Path) -> None:
    """Delete a file that is not needed any more; failures are logged only."""
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        log.warning("%s could not be deleted: %s", path, problem)


def _header(metadata: str, tensors: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The header of a safetensors file: a length, and JSON with the offsets of each array.

    Written here because the library would copy all arrays, and block every other thread meanwhile.
    """
    text = {"format": FORMAT, "facts": metadata, "sha256": _digest(metadata, tensors)}
    entries: dict[str, Any] = {"__metadata__": text}
    end = 0
    for name, array in tensors.items():
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": DTYPES[array.dtype.str], "shape": array.shape, "data_offsets": [begin, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _digest(metadata: str, tensors: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256(metadata.encode())
    for name in sorted(tensors):
        digest.update(f"\n{name} {tensors[name].dtype.str} {tensors[name].shape}\n".encode())
        digest.update(_bytes_of(tensors[name]))
    return digest.hexdigest()


def _bytes_of(array: NDArray[np.generic]) -> memoryview:
    """The bytes of an array in C order, without a copy."""
    return array.reshape(-1).view("u1").data
