"""Saves a run's checkpoints in a background thread, and decides when to save and which ones to keep.

    checkpoint-<epoch>-<step>.safetensors    everything that the run needs to resume; the newest two are kept
    best.safetensors                         the weights of the best epoch so far, as its evaluation used them

If the process dies, only what is not written yet is lost: the older checkpoint is kept until the next one is on the
disk. Without a folder nothing is saved.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from trainer.events import BaseEvent, CheckpointFailed, CheckpointSaved
from trainer.failures import CheckpointDamaged, FolderUnusable
from trainer.loop import checkpoint_file
from trainer.loop.checkpoint_file import PARTIAL_SUFFIX, Checkpoint, checkpoint_path, list_checkpoints
from trainer.protocol import BEST

log = logging.getLogger(__name__)

NEXT_BEST = "best.next.safetensors"  # renamed once its epoch's checkpoint is written, so it is never newer than that
EVERY_S = 60.0  # seconds; epochs that take longer save one each
MAX_CHECKPOINTS = 2  # the latest, and the one before it in case the disk damages the latest

TakeSnapshot = Callable[[], Checkpoint]  # reads the device; training waits meanwhile


class Checkpoints:
    """The checkpoints in one folder, locked while the context lasts. Use from the training thread."""

    def __init__(
        self,
        folder: Path | None,
        every_s: float,
        emit: Callable[[BaseEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every_s`: minimum seconds between two checkpoints. Raises FolderUnusable."""
        self._folder, self._every_s, self._emit, self._clock = folder, every_s, emit, clock
        self._made_at = clock()
        self._on_disk = (0, 0)  # epoch and step of the latest good checkpoint; a run begins at (0, 0)
        self._best: Checkpoint | None = None  # not on the disk yet
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._under_way: Future[Checkpoint | None] | None = None
        self._lock = None if folder is None else _lock_folder(folder)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._writer.shutdown(wait=True)
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
        if kind is None:
            self._collect()

    def load_newest(self) -> Checkpoint | None:
        """The checkpoint to resume from, or None. Deletes the partial files of a killed process."""
        if self._folder is None:
            return None
        for path in self._folder.glob(f"*{PARTIAL_SUFFIX}"):
            checkpoint_file.remove_file(path)
        found = checkpoint_file.read_newest(self._folder, drop_damaged=True)
        if found is not None:
            self._on_disk = (found.metadata.place.epoch, found.metadata.place.step)
        self._settle_best(found)
        return found

    def write_note(self, name: str, text: str) -> None:
        """Write a file for people to read; failures are logged only."""
        if self._folder is not None:
            try:
                (self._folder / name).write_text(text)
            except OSError as problem:
                log.warning("%s could not be written: %s", name, problem.strerror)

    def start_timer(self) -> None:
        """Count the seconds to the next checkpoint from now; call when training starts."""
        self._made_at = self._clock()

    def hold_best(self, make: TakeSnapshot) -> None:
        """Keep the best weights so far in memory until the next checkpoint is saved."""
        if self._folder is not None:
            self._best = make()

    def save_if_due(self, make: TakeSnapshot, *, is_last: bool) -> None:
        """Save a checkpoint if one is due; after the last epoch always, and wait until it is on the disk."""
        if self._folder is None or (not is_last and self._clock() - self._made_at < self._every_s):
            return
        if is_last or self._under_way is None or self._under_way.done():
            self._make(make)
        if is_last:
            self._collect()

    def save_now(self, make: TakeSnapshot) -> None:
        """Save a checkpoint if the position has changed since the last one, and wait for the disk."""
        if self._folder is not None:
            self._make(make)
            self._collect()

    def _make(self, make: TakeSnapshot) -> None:
        self._collect()
        began = self._clock()
        made = make()
        place = made.metadata.place
        if (place.epoch, place.step) == self._on_disk:
            return
        self._made_at = self._clock()
        self._under_way = self._writer.submit(self._write, made, self._best, began, self._made_at - began)

    def _collect(self) -> None:
        """Wait for the write in progress. Raises its errors, other than the disk's."""
        if self._under_way is not None and self._under_way.result() is self._best:
            self._best = None  # written, and no better one has replaced it meanwhile
        self._under_way = None

    def _write(self, made: Checkpoint, best: Checkpoint | None, began: float, waited: float) -> Checkpoint | None:
        """Runs in the thread. Returns the best weights if they are on the disk now."""
        assert self._folder is not None
        place = made.metadata.place
        try:
            if best is not None:
                checkpoint_file.write_checkpoint(self._folder / NEXT_BEST, best)
            size = checkpoint_file.write_checkpoint(checkpoint_path(self._folder, place), made)
            if best is not None:
                (self._folder / NEXT_BEST).rename(self._folder / BEST)
        except OSError as problem:
            text = f"The checkpoint could not be written: {problem.strerror or problem}."
            text += " The previous one is kept." if self._on_disk != (0, 0) else ""
            log.warning("%s", text)
            self._emit(CheckpointFailed(epoch=place.epoch, step=place.step, message=text))
            return None
        self._on_disk = (place.epoch, place.step)
        try:
            for path in list_checkpoints(self._folder)[MAX_CHECKPOINTS:]:
                checkpoint_file.remove_file(path)
        except OSError as problem:
            log.warning("older checkpoints stay for now: %s", problem.strerror)
        seconds = self._clock() - began
        self._emit(
            CheckpointSaved(epoch=place.epoch, step=place.step, bytes=size, seconds=seconds, waited_seconds=waited)
        )
        return best

    def _settle_best(self, found: Checkpoint | None) -> None:
        """Publish or delete best weights that a killed process left behind.

        They are published if the checkpoint of their epoch exists; otherwise that epoch will be trained again.
        """
        assert self._folder is not None
        waiting = self._folder / NEXT_BEST
        with suppress(CheckpointDamaged, OSError):
            epoch = checkpoint_file.read_checkpoint(waiting).metadata.place.epoch
            if found is not None and epoch == found.metadata.place.best_epoch:
                waiting.rename(self._folder / BEST)
        checkpoint_file.remove_file(waiting)
        with suppress(CheckpointDamaged):
            epoch = checkpoint_file.read_position(self._folder / BEST).best_epoch
            if found is None or epoch != found.metadata.place.best_epoch:
                checkpoint_file.remove_file(self._folder / BEST)  # not the best epoch of the checkpoint to resume from


def _lock_folder(folder: Path) -> int:
    """Create and lock the folder until the returned descriptor is closed or the process ends. Raises FolderUnusable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as problem:
        raise FolderUnusable(f"the folder {folder} cannot be used: {problem.strerror}", "Choose another.") from problem
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        hint = "Wait until it has ended, or choose another folder."
        raise FolderUnusable(f"another trainer is using {folder}", hint) from None
    except OSError:
        pass  # a file system without locks
    return opened
