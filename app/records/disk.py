"""The disk under the data folder: how much is free, whether that is little, and what an error of it means in words.

Functions of a path or an error alone. Must not know the records, HTTP or who asks.
"""

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

LOW_BYTES = 2**30  # a few checkpoints of a large net
LOW_SHARE = 0.02
FULL_BYTES = 16 * 2**20  # what SQLite's log and a few reports need
PROBE_BYTES = 2**16
MAX_CAUSES = 10  # causes of causes that are looked at

FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}
FAILING_ERRORS = {errno.EIO, errno.EROFS}


@dataclass(frozen=True)
class Disk:
    """Bytes that an ordinary program may still write, and all that there are."""

    free: int
    total: int

    @property
    def is_full(self) -> bool:
        return self.free < FULL_BYTES

    @property
    def is_low(self) -> bool:
        """Little is left, or nothing."""
        return self.free < max(LOW_BYTES, LOW_SHARE * self.total)


@dataclass(frozen=True)
class Notice:
    """What every page says above all else."""

    title: str
    sentence: str
    is_bad: bool  # it does not work, rather than: it soon may not


def free_space(folder: Path) -> Disk:
    """The disk that holds `folder`. Asks the kernel: no file is looked at."""
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
    """What pages say of the disk and of writing; None where all is well. `trouble`: what the latest write ran into."""
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
    """What the disk of `folder`, or SQLite on it, answers inside leaves as a Trouble that says what to do."""
    try:
        yield
    except Exception as error:
        trouble = explain_disk_error(error, folder)
        if trouble is None or trouble is error:
            raise
        raise trouble from error


def explain_disk_error(error: BaseException, folder: Path) -> Trouble | None:
    """What an error, or what it came from, means for the disk of `folder`; None where it has nothing to do with it."""
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
    # SQLite says "I/O error" for a quota, too
    if code == sqlite.FULL or number in FULL_ERRORS or (code == sqlite.IO_ERROR and _takes_no_more(folder)):
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


def _takes_no_more(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)
    except OSError as error:
        return error.errno in FULL_ERRORS
    return False
