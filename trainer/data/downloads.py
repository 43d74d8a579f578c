"""Downloads a published archive with progress, checksum and an atomic move into place."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.failures import DatasetDamaged, DatasetMissing

Note = Callable[[str], None]


def download(url: str, sha256: str, destination: Path, note: Note) -> None:
    """Download `url` to `destination`, which is created only if complete and with this SHA-256 (hex).

    Without a terminal for a progress bar, `note` receives a line about every 5 %. Raises DatasetMissing if the server
    cannot be reached or refuses, DatasetDamaged if the checksum differs.
    """
    import pooch
    import requests

    logging.getLogger(pooch.__name__).setLevel(logging.WARNING)  # replaced by our own lines
    destination.parent.mkdir(parents=True, exist_ok=True)
    note(f"downloading {url}")
    bar = _terminal_bar() if sys.stderr.isatty() else _LineProgress(note, destination.name)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=destination.name,
            path=destination.parent,
            downloader=pooch.HTTPDownloader(progressbar=bar, timeout=30),
        )
    except ValueError as error:  # raised by pooch if the checksum differs
        raise DatasetDamaged(
            f"{url} served a file with another checksum than the published {sha256[:12]}…",
            f"Try again; or fetch it by other means and put it at {destination}.",
        ) from error
    except (requests.RequestException, OSError) as error:
        raise DatasetMissing(
            f"{destination.name} is not here and could not be downloaded: {_innermost_reason(error)}",
            f"Without a network: fetch {url} elsewhere and put the file into {destination.parent}/.",
        ) from error
    note(f"downloaded {destination.name}, checksum as published")


def verify(path: Path, sha256: str) -> None:
    """Raise DatasetDamaged if the file's SHA-256 is not this one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DatasetDamaged(
            f"{path} is not the published archive: its checksum is {found[:12]}…, not {sha256[:12]}…",
            f"Delete {path} and it will be downloaded again.",
        )


def _terminal_bar() -> Any:
    from tqdm import tqdm

    return tqdm(total=0, unit="B", unit_scale=True, unit_divisor=1024, ncols=79, leave=True, file=sys.stderr)


class _LineProgress:
    """A progress bar for pooch that writes lines."""

    def __init__(self, note: Note, name: str) -> None:
        self.total = 0  # bytes, set by pooch
        self._note, self._name = note, name
        self._done, self._next = 0, 5

    def update(self, size: int) -> None:
        self._done += size
        percent = 100 * self._done // self.total if self.total else 0
        if percent >= self._next:
            self._note(f"{self._name}: {percent} % of {self.total / 2**20:.1f} MiB")
            self._next = percent - percent % 5 + 5

    def reset(self) -> None:
        """Called by pooch at the end, before a final update."""
        self._done = 0

    def close(self) -> None:
        pass


def _innermost_reason(error: Exception) -> str:
    """The cause at the bottom: requests wraps a refused connection in three errors."""
    reason: BaseException = error
    while reason.__context__ is not None:
        reason = reason.__context__
    return f"{type(reason).__name__}: {reason}"
