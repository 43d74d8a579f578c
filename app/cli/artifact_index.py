"""The index of the files that workers handed in, as a backup holds it, and whether the disk agrees.

Must not know SQL or HTTP, and changes no file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound
from app.records.disk import format_bytes
from app.records.files import artifact_path

MAX_NAMED = 20  # files in one answer


@dataclass(frozen=True)
class File:
    """One line of the index. The file lies at `runs/<run>/artifacts/<sha256>` and never changes there."""

    run: int
    name: str
    sha256: str
    bytes: int


def compare(index: list[File], data_dir: Path, *, verify: bool) -> list[str]:
    """What the index names and the disk lacks, and the reverse, in lines. `verify`: read the files, too."""
    wrong = [line for file in index if (line := _fault(data_dir, file, verify=verify))]
    lines: list[str] = []
    if wrong:
        lines.append(f"artifacts that are not as they were, {len(wrong)} of {len(index)}; copy them back:")
        lines += wrong[:MAX_NAMED]
        if len(wrong) > MAX_NAMED:
            lines.append(f"  and {len(wrong) - MAX_NAMED} more")
    elif index:
        checked = "their SHA-256 is right" if verify else "their sizes are right; --verify reads them, too"
        lines.append(f"artifacts that are there: all {len(index)}; {checked}")
    if later := [path.stat().st_size for path in _unnamed(index, data_dir)]:
        lines.append(
            f"artifacts in {data_dir / 'runs'} that the backup does not name: {len(later)} ({in_bytes(sum(later))}); "
            "they stay for two weeks"
        )
    return lines


def keep_unnamed(index: list[File], data_dir: Path) -> None:
    """From now on, for as long as files without a row are kept: they belong to what was there before the restore."""
    for path in _unnamed(index, data_dir):
        os.utime(path)


def in_bytes(number: int) -> str:
    """For a terminal, whatever letters it knows."""
    return format_bytes(number).replace("\u202f", " ")


def _fault(data_dir: Path, file: File, *, verify: bool) -> str:
    """What is wrong with a file of the index; empty where nothing is."""
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


def _unnamed(index: list[File], data_dir: Path) -> list[Path]:
    """The files that the index does not name."""
    named = {(str(file.run), file.sha256) for file in index}
    return [
        path for path in (data_dir / "runs").glob("*/artifacts/*") if (path.parent.parent.name, path.name) not in named
    ]
