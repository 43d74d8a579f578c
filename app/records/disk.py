"""The disk of the data folder: free space, notices about it, and errors of it as sentences."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import Busy, DiskFails, StorageFull, Trouble
from app.records import sqlite

LOW_BYTES = 2**30  # a few checkpoints of a large model
LOW_SHARE = 0.02
FULL_BYTES = 16 * 2**20  # what SQLite's log and a few reports need
PROBE_BYTES = 2**16
MAX_CAUSES = 10  # length of a chain of causes that is followed

FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}
FAILING_ERRORS = {errno.EIO, errno.EROFS}


@dataclass(frozen=True)
class Disk:
    """Bytes that an unprivileged program may still write, and the total."""

    free: int
    total: int

    @property
    def is_full(self) -> bool:
        return self.free < FULL_BYTES

    @property
    def is_low(self) -> bool:
        """Little space is left, or none."""
        return self.free < max(LOW_BYTES, LOW_SHARE * self.total)


@dataclass(frozen=True)
class Notice:
    """A message at the top of every page."""

    title: str
    sentence: str
    is_bad: bool  # writing fails now, rather than: may fail soon


def free_space(folder: Path) -> Disk:
    """The space on the disk of `folder`, as the kernel reports it."""
    found = os.statvfs(folder)
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def format_bytes(number: int) -> str:
    """Bytes in words, three digits: 72.1 GB, 252 GB, 904 kB."""
    amount, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    digits = 0 if unit == "bytes" or amount >= 99.95 else 1
    return f"{amount:.{digits}f}\u202f{unit}"


def storage_notice(folder: Path, trouble: str | None) -> Notice | None:
    """The notice to show about the disk; None: no problem. `trouble`: why the latest write failed."""
    if trouble is not None:
        return Notice("Nothing can be recorded just now.", trouble[:1].upper() + trouble[1:] + ".", is_bad=True)
    now = free_space(folder)
    if not now.is_low:
        return None
    return Notice(
        "Storage is nearly full.",
        f"Only {format_bytes(now.free)} of {format_bytes(now.total)} are free on the disk of {folder}. Once that is "
        "used up, nothing more is recorded: delete runs that you no longer need, or make room there.",
        is_bad=now.is_full,
    )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns errors of the disk of `folder`, or of SQLite on it, into a Trouble that says what to do."""
    try:
        yield
    except Exception as error:
        trouble = explain_disk_error(error, folder)
        if trouble is None or trouble is error:
            raise
        raise trouble from error


def explain_disk_error(error: BaseException, folder: Path) -> Trouble | None:
    """The Trouble for an error or one of its causes; None if it is not about the disk of `folder`."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, Trouble):
            return cause
        if (trouble := _trouble(cause, folder)) is not None:
            return trouble
        cause = cause.__cause__ or cause.__context__
    return None


def _trouble(error: BaseException, folder: Path) -> Trouble | None:
    code = sqlite.error_code(error)
    number = error.errno if isinstance(error, OSError) else None
    if code in sqlite.LOCKED:
        return Busy()
    # SQLite reports an exceeded quota as an I/O error
    if code == sqlite.FULL or number in FULL_ERRORS or (code == sqlite.IO_ERROR and _refuses_data(folder)):
        free = format_bytes(free_space(folder).free)
        return StorageFull(
            f"the disk of {folder} is full ({free} free), or a quota on it is used up. "
            "What was recorded stays right. Make room on that disk, and recording goes on by itself, without a restart"
        )
    if code in sqlite.FAILING or number in FAILING_ERRORS:
        return DiskFails(
            f"the disk of {folder} answers with errors ({error}). Look at the system's log (dmesg) for that disk, and "
            "back the folder up to another one"
        )
    return None


def _refuses_data(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)
    except OSError as error:
        return error.errno in FULL_ERRORS
    return False
