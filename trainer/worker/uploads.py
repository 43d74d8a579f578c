"""Uploads a run's newest checkpoint to the app: at intervals while it trains, and once more at its end.

In a thread of its own: a slow network must delay neither training nor reports. What cannot be uploaded stays on this
disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

from trainer.failures import CheckpointDamaged
from trainer.loop.checkpoint_file import parse_position, read_position
from trainer.protocol import BEST, CHECKPOINT
from trainer.worker.client import Claim, Client, LeaseLost, Unreachable, Unreadable
from trainer.worker.timing import DEFAULT_TIMING
from trainer.worker.workspace import Workspace

logger = logging.getLogger("pitwall.worker")

AGAIN_S = 0.5  # between two attempts to upload at the end
INSIST_S = 15 * 60.0  # then the attempt ends without: the app is up, but its disk may be full


class Uploads:
    """The uploads of one attempt. Call `upload_if_due` often, `upload_rest` once."""

    def __init__(
        self, client: Client, claim: Claim, workspace: Workspace, every_s: float = DEFAULT_TIMING.upload_every_s
    ) -> None:
        self._client, self._claim, self._workspace, self._every_s = client, claim, workspace, every_s
        uploaded = claim.uploaded or {"epoch": 0, "step": 0}
        self._done = (int(uploaded["epoch"]), int(uploaded["step"]))
        self._best_epoch = 0  # of the uploaded weights
        self._next_at = time.monotonic() + self._every_s
        self._has_warned = False  # since the last successful upload
        self._thread: Thread | None = None
        self._lock = Lock()

    def upload_if_due(self) -> None:
        """Start an upload if one is due and none is in progress."""
        if time.monotonic() < self._next_at or (self._thread and self._thread.is_alive()):
            return
        self._next_at = time.monotonic() + self._every_s
        self._thread = Thread(target=self._upload_newest, name="upload", daemon=True)
        self._thread.start()

    def upload_rest(self, left_s: Callable[[], float | None]) -> bool:
        """Upload the newest files, retrying while the app is down: there is no later chance.

        `left_s()`: seconds left; None: up to `INSIST_S`. Returns whether the app has everything now.
        """
        last = Thread(target=self._insist, name="upload", daemon=True)
        last.start()
        while last.is_alive() and left_s() != 0:
            last.join(AGAIN_S)
        with_all = not last.is_alive() and self._done >= self._workspace.position
        if not with_all:
            logger.warning("run %d: its newest checkpoint is not uploaded and stays on this disk", self._claim.run)
        return with_all

    def _insist(self) -> None:
        ends = time.monotonic() + INSIST_S
        while not self._upload_newest() and time.monotonic() < ends:
            time.sleep(AGAIN_S)

    def _upload_newest(self) -> bool:
        """Returns True if there is nothing to retry: it is done, or will never work."""
        with self._lock:
            newest = self._workspace.newest()
            if newest is None or parse_position(newest) <= self._done:
                return True
            at = parse_position(newest)
            try:
                self._upload_best(newest)
                self._client.upload_artifact(self._claim, CHECKPOINT, newest, *at)
                self._done, self._has_warned = at, False
            except FileNotFoundError:
                self._next_at = 0.0  # the child has just replaced the file with a newer one
            except (LeaseLost, Unreachable, Unreadable, OSError) as problem:
                if not self._has_warned:
                    logger.warning("run %d: a checkpoint could not be uploaded: %s", self._claim.run, problem)
                self._has_warned = True
                return not isinstance(problem, Unreachable)
            return True

    def _upload_best(self, newest: Path) -> None:
        """Upload the best weights if the newest checkpoint refers to them: this disk may still have older ones."""
        best = self._workspace.folder / BEST
        if not best.exists():
            return
        try:
            epoch, known = read_position(best).best_epoch, read_position(newest).best_epoch
        except CheckpointDamaged as problem:
            logger.warning("run %d: %s", self._claim.run, problem)
            return
        if epoch == known != self._best_epoch:
            self._client.upload_artifact(self._claim, BEST, best, epoch, 0)
            self._best_epoch = epoch
