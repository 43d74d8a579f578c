"""Files of runs: logs and artifacts. Every path that a client can reach goes through `inside`.

Clients never supply paths: they name a run and an attempt by number, and the name on disk is made here.
"""

from __future__ import annotations

import codecs
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from app.errors import NotFound

LOG_TAIL = 64 * 1024  # bytes that a page shows


def inside(root: Path, *parts: str) -> Path:
    """`root` / parts, with links followed. Raises NotFound if that leaves `root`, or if a part has a separator."""
    if any(not part or "/" in part or "\\" in part or "\0" in part or part in {".", ".."} for part in parts):
        raise NotFound("there is no such file")
    path = root.joinpath(*parts)
    real_root = Path(os.path.realpath(root))
    if not Path(os.path.realpath(path)).is_relative_to(real_root):
        raise NotFound("there is no such file")
    return path


def log_path(data_dir: Path, run_id: int, attempt: int) -> Path:
    """The log of an attempt."""
    return inside(data_dir, "runs", str(run_id), f"attempt-{attempt}.log")


def artifact_path(data_dir: Path, run_id: int, sha256: str) -> Path:
    """An uploaded file is named by its hash, so that it never changes."""
    return inside(data_dir, "runs", str(run_id), "artifacts", sha256)


def flush_folder(folder: Path) -> None:
    """Flush the names in it: a file that was flushed is lost in a power cut if its name was not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_all_of(data_dir: Path, run_id: int) -> None:
    """Delete logs and artifacts of a run. Missing is fine."""
    shutil.rmtree(inside(data_dir, "runs", str(run_id)), ignore_errors=True)


def remove_artifacts(data_dir: Path, run_id: int, kept: Iterable[str] = ()) -> None:
    """Delete all artifacts but those in `kept` (hashes), partial uploads included."""
    folder = inside(data_dir, "runs", str(run_id), "artifacts")
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in set(kept):
            path.unlink(missing_ok=True)


def write_log(path: Path, offset: int, size: int, text: str) -> int:
    """Write a piece of the log at its offset. Returns the log's size in bytes. After a gap nothing is written.

    `size`: of the log so far, according to the database. Writing the same piece twice gives the same file.
    """
    data = text.encode()
    if not data or offset > size or offset + len(data) <= size:
        return size
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        written = 0
        while written < len(data):  # a disk that is nearly full takes a part
            written += os.pwrite(file, data[written:], offset + written)
    finally:
        os.close(file)
    return offset + len(data)


def read_log(path: Path, after: int | None = None, limit: int = LOG_TAIL) -> tuple[int, str]:
    """(offset of the first byte, text): from `after`, or the last `limit` bytes. Missing: empty."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(size - limit, 0) if after is None else min(max(after, 0), size)
            file.seek(start)
            data = file.read(limit)
    except FileNotFoundError:
        return 0, ""
    if after is None and start:  # do not begin in the middle of a line
        cut = data.find(b"\n") + 1
        start, data = start + cut, data[cut:]
    while data and data[0] & 0xC0 == 0x80:  # nor of a character: the caller continues at an offset in bytes
        start, data = start + 1, data[1:]
    return start, codecs.getincrementaldecoder("utf-8")("replace").decode(data)
