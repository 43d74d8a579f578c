"""The working folders of attempts, one per attempt, under the trail that its checkpoints belong to.

    work/<run>-<trail>/<attempt>/     the child's --dir

An attempt starts with links to the newest checkpoint of earlier attempts, so a child that has lost its run without
knowing it never overwrites the new attempt's files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from trainer.loop.checkpoint_file import list_checkpoints, parse_position

MIN_FREE_BYTES = 8 * 2**20
KEPT_S = 14 * 24 * 3600  # a trail that has not changed for this long is deleted


class Workspace:
    """The folder of one attempt."""

    def __init__(self, work: Path, run: int, trail: str, attempt: int) -> None:
        self._trail = work / f"{run}-{trail}"
        self.folder = self._trail / str(attempt)

    def open(self) -> None:
        """Create the folder, with links to the newest checkpoints that earlier attempts left on this disk."""
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
        """(completed epochs, finished steps of the next one) of the newest checkpoint here; (0, 0) if there is none."""
        newest = self.newest()
        return parse_position(newest) if newest else (0, 0)

    def delete_earlier(self) -> None:
        """Delete the folders of earlier attempts; call once this one has what it needs."""
        for path in self._trail.glob("*/"):
            if _number(path) < _number(self.folder):
                shutil.rmtree(path, ignore_errors=True)

    def delete(self) -> None:
        """Delete the whole trail; call once the app has everything."""
        shutil.rmtree(self._trail, ignore_errors=True)


def delete_old(work: Path) -> None:
    """Delete abandoned trails: their runs were deleted, or continued on another worker."""
    for path in work.glob("*-*/"):
        touched = max(one.stat().st_mtime for one in (path, *path.glob("*"), *path.glob("*/*")))
        if time.time() - touched > KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def can_write(work: Path) -> bool:
    """Whether a run could start here: the disk is writable and has space for a checkpoint."""
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
    """Link or copy a file. Checkpoints never change once written, so a hard link is safe."""
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copyfile(old, new)
