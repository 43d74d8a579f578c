"""The folders in which runs are worked on: one per attempt, under the trail that its checkpoints belong to.

    work/<run>-<trail>/<attempt>/     what the child of that attempt is given as --dir

An attempt begins with links to the newest checkpoint of the earlier ones, so a child that lost its run and does not
know it yet writes beside the new one, never over it. Must not know HTTP, processes or what is in a checkpoint.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from trainer.loop.checkpoint_file import list_checkpoints, parse_position

MIN_FREE_BYTES = 8 * 2**20
KEPT_S = 14 * 24 * 3600  # a trail that nobody touched for so long is given up


class Workspace:
    """The folder of one attempt."""

    def __init__(self, work: Path, run: int, trail: str, attempt: int) -> None:
        self._trail = work / f"{run}-{trail}"
        self.folder = self._trail / str(attempt)

    def open(self) -> None:
        """Make the folder, with links to the newest checkpoint that earlier attempts left on this disk."""
        earlier = sorted(self._trail.glob("*/"), key=_number)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.utime(self._trail)
        for path in sorted((path for one in earlier for path in list_checkpoints(one)), key=parse_position)[-2:]:
            _link(path, self.folder / path.name)
            for best in path.parent.glob("best*.safetensors"):
                _link(best, self.folder / best.name)

    def newest(self) -> Path | None:
        """The newest checkpoint here."""
        return next(iter(list_checkpoints(self.folder)), None)

    @property
    def position(self) -> tuple[int, int]:
        """(finished epochs, steps of the next) of the newest checkpoint here; (0, 0): none."""
        newest = self.newest()
        return parse_position(newest) if newest else (0, 0)

    def delete_earlier(self) -> None:
        """This attempt has what it needs: free what the earlier ones left."""
        for path in self._trail.glob("*/"):
            if _number(path) < _number(self.folder):
                shutil.rmtree(path, ignore_errors=True)

    def delete(self) -> None:
        """The app has all of it: free the whole trail."""
        shutil.rmtree(self._trail, ignore_errors=True)


def delete_old(work: Path) -> None:
    """Free trails that nobody will come back to: their runs were deleted, or went on elsewhere."""
    for path in work.glob("*-*/"):
        touched = max(one.stat().st_mtime for one in (path, *path.glob("*"), *path.glob("*/*")))
        if time.time() - touched > KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def can_write(work: Path) -> bool:
    """Whether a run could begin here: there is room for a checkpoint, and the disk takes it."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work) as file:
            os.posix_fallocate(file.fileno(), 0, MIN_FREE_BYTES)
    except OSError:
        return False
    return True


def _number(path: Path) -> int:
    return int(path.name) if path.name.isdecimal() else -1


def _link(old: Path, new: Path) -> None:
    """Checkpoints are written once and never changed, so two names for one file are safe."""
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copyfile(old, new)
