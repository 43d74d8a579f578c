"""What other programs do to our database and its disk: hold a lock, fill it up. Real processes, real file systems.

A lock held by this process would prove nothing: SQLite's locks are between processes, and two copies of SQLite in
one process do not see each other's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HOLD = """
import sys, pysqlite3
held = pysqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("PRAGMA busy_timeout=5000")
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
"""


class Holder:
    """Another program in the middle of a write."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", HOLD, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        self._process.communicate()


@contextmanager
def locked(path: Path) -> Iterator[Holder]:
    holder = Holder(path)
    try:
        yield holder
    finally:
        holder.let_go()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of so many megabytes, mounted at `folder`. Skips where we may not mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "pitwall-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave not a byte; answers the file to delete."""
    filler = folder / "filler"
    file = os.open(filler, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        pass
    finally:
        os.close(file)
    return filler


def integrity(path: Path) -> str:
    """SQLite's own verdict, asked from another process."""
    ask = "import sys, pysqlite3; print(pysqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])"
    command = [sys.executable, "-c", ask, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
