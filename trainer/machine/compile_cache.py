"""A cache of compiled programs on the disk, for later processes of similar runs: one folder per worker and backend.

Programs are machine code, so only the user can access the folder, and an entry is used only if it has its recorded
digest. All other files in the folder are deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

DIGESTS = "digests.json"
MAX_BYTES = 2**30  # the oldest entries go first


class CompileCache:
    """The cache of one process. Opening deletes damaged and foreign entries, and the oldest ones above `max_bytes`."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Raises OSError if the folder cannot be used."""
        if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
            raise PermissionError(f"{folder} does not belong to this user")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder
        self._clear(max_bytes)
        self._was_there = bool(self._entries())

    @property
    def status(self) -> str:
        """`used`: programs of earlier processes were found; `empty`: none were found; `off`: still none."""
        return "used" if self._was_there else "empty" if self._entries() else "off"

    def record_digests(self) -> None:
        """Record the digests of all entries, so that the next process may use them."""
        digests = {str(path.relative_to(self.folder)): _digest(path) for path in self._entries()}
        part = self.folder / f".{DIGESTS}.part"
        part.write_text(json.dumps(digests))
        part.rename(self.folder / DIGESTS)

    def _clear(self, max_bytes: int) -> None:
        try:
            digests = dict(json.loads((self.folder / DIGESTS).read_text()))
        except (OSError, ValueError, TypeError):
            digests = {}
        entries = sorted(self._entries(), key=lambda path: path.stat().st_mtime, reverse=True)
        size, dropped = 0, 0
        for path in entries:
            size += path.stat().st_size
            is_good = digests.get(str(path.relative_to(self.folder))) == _digest(path)
            if not is_good or size > max_bytes:
                path.unlink(missing_ok=True)
                dropped += not is_good
        if dropped:
            log.warning("%d compiled programs did not match their digests and will be compiled again", dropped)

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and DIGESTS not in path.name]


def open_cache(folder: Path | None) -> CompileCache | None:
    """The cache in this folder; None if it cannot be used: then every process compiles its own programs."""
    if folder is None:
        return None
    try:
        return CompileCache(folder)
    except OSError as problem:
        log.warning("no cache of compiled programs: %s", problem)
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
