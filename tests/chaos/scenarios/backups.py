"""A backup every minute during a storm; each copy must be complete."""

from __future__ import annotations

import subprocess
import sys
import time

import pysqlite3

from tests.chaos.stage import Row
from tests.chaos.world import World

EVERY_S = 60.0


class Backups:
    """`perhaps` often, `row` at the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next_at = time.monotonic() + EVERY_S / 2
        self._running: subprocess.Popen[bytes] | None = None
        self._made = 0

    def perhaps(self) -> None:
        if time.monotonic() > self._next_at and (self._running is None or self._running.poll() is not None):
            self._next_at = time.monotonic() + EVERY_S
            self._made += 1
            file = self._world.folder / f"backup-{self._made}.db"
            self._running = self._world.start("backup", [sys.executable, "-m", "app", "backup", str(file)])

    def row(self) -> Row:
        if self._running is not None:
            self._running.wait(120)
        whole = sum(self._is_whole(number) for number in range(1, self._made + 1))
        return Row("Backups under the storm, one a minute", f"{whole} of {self._made} whole", "all",
                   whole == self._made > 0)  # fmt: skip

    def _is_whole(self, number: int) -> bool:
        file = self._world.folder / f"backup-{number}.db"
        if not file.exists():
            return False
        copy = pysqlite3.connect(file)
        try:
            return bool(copy.execute("PRAGMA integrity_check").fetchone() == ("ok",))
        finally:
            copy.close()
