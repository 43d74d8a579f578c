"""Compares the index of artifacts in a backup with the files on the disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound
from app.records.disk import format_bytes
from app.records.files import artifact_path

MAX_LISTED = 20  # files in the output


@dataclass(frozen=True)
class File:
    """One row of the index. The file is `runs/<run>/artifacts/<sha256>` and never changes."""

    run: int
    name: str
    sha256: str
    bytes: int


def compare_with_disk(index: list[File], data_dir: Path, *, verify: bool) -> list[str]:
    """Lines about missing, damaged and unlisted files. `verify`: also read the files and check their SHA-256."""
    faults = [line for file in index if (line := _fault(data_dir, file, verify=verify))]
    lines: list[str] = []
    if faults:
        lines.append(f"artifacts that are not as they were, {len(faults)} of {len(index)}; copy them back:")
        lines += faults[:MAX_LISTED]
        if len(faults) > MAX_LISTED:
            lines.append(f"  and {len(faults) - MAX_LISTED} more")
    elif index:
        checked = "their SHA-256 is right" if verify else "their sizes are right; --verify reads them, too"
        lines.append(f"artifacts that are there: all {len(index)}; {checked}")
    if later := [path.stat().st_size for path in _unlisted(index, data_dir)]:
        size = format_bytes_ascii(sum(later))
        lines.append(
            f"artifacts in {data_dir / 'runs'} that the backup does not name: {len(later)} ({size}); "
            "they stay for two weeks"
        )
    return lines


def keep_unlisted(index: list[File], data_dir: Path) -> None:
    """Restart the two weeks for which unlisted files are kept: they belong to the database before the restore."""
    for path in _unlisted(index, data_dir):
        os.utime(path)


def format_bytes_ascii(number: int) -> str:
    """With ASCII spaces, for any terminal."""
    return format_bytes(number).replace("\u202f", " ")


def _fault(data_dir: Path, file: File, *, verify: bool) -> str:
    """The problem of a file in the index; empty if there is none."""
    try:
        path = artifact_path(data_dir, file.run, file.sha256)
        found = path.stat().st_size
    except (NotFound, FileNotFoundError):
        wrong = "is missing"
    else:
        wrong = "" if found == file.bytes else f"has {found} bytes instead of {file.bytes}"
        if verify and not wrong:
            with path.open("rb") as opened:
                wrong = "" if hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256 else "is damaged"
    return f"  runs/{file.run}/artifacts/{file.sha256} ({file.name} of run {file.run}) {wrong}" if wrong else ""


def _unlisted(index: list[File], data_dir: Path) -> list[Path]:
    """The files on the disk that the index does not list."""
    named = {(str(file.run), file.sha256) for file in index}
    return [
        path for path in (data_dir / "runs").glob("*/artifacts/*") if (path.parent.parent.name, path.name) not in named
    ]
