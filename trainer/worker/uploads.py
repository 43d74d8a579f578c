"""Hands a run's newest checkpoint to the app: now and then while it trains, and once more at its end.

Beside everything else, in a thread: a slow network must hold up neither the training nor what it says. What cannot
be handed in stays on this disk, and the next time is soon. Must not know processes or what is in a checkpoint.
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

AGAIN_S = 0.5  # between two tries at its end
INSIST_S = 15 * 60.0  # then it ends without: the app is there, but has no room


class Uploads:
    """Of one attempt. `perhaps` often, `finish` once."""

    def __init__(
        self, client: Client, claim: Claim, workspace: Workspace, every_s: float = DEFAULT_TIMING.upload_every_s
    ) -> None:
        self._client, self._claim, self._workspace, self._every_s = client, claim, workspace, every_s
        uploaded = claim.uploaded or {"epoch": 0, "step": 0}
        self._done = (int(uploaded["epoch"]), int(uploaded["step"]))
        self._best_epoch = 0  # of the weights that were handed in
        self._next_at = time.monotonic() + self._every_s
        self._is_told = False  # that it does not work just now
        self._thread: Thread | None = None
        self._lock = Lock()

    def upload_if_due(self) -> None:
        """Begin an upload if one is due and none is under way."""
        if time.monotonic() < self._next_at or (self._thread and self._thread.is_alive()):
            return
        self._next_at = time.monotonic() + self._every_s
        self._thread = Thread(target=self._upload_newest, name="upload", daemon=True)
        self._thread.start()

    def upload_rest(self, left_s: Callable[[], float | None]) -> bool:
        """Hand in what is newer than before, again and again while the app is away: there is no later chance.

        `left_s()`: seconds that it may still take; None: `INSIST_S`. Answers whether the app has all of it now.
        """
        last = Thread(target=self._insist, name="upload", daemon=True)
        last.start()
        while last.is_alive() and left_s() != 0:
            last.join(AGAIN_S)
        with_all = not last.is_alive() and self._done >= self._workspace.position
        if not with_all:
            logger.warning("run %d: its newest checkpoint stays on this disk for now", self._claim.run)
        return with_all

    def _insist(self) -> None:
        ends = time.monotonic() + INSIST_S
        while not self._upload_newest() and time.monotonic() < ends:
            time.sleep(AGAIN_S)

    def _upload_newest(self) -> bool:
        """Whether another try is of no use: it is done, or cannot be."""
        with self._lock:
            newest = self._workspace.newest()
            if newest is None or parse_position(newest) <= self._done:
                return True
            at = parse_position(newest)
            try:
                self._upload_best(newest)
                self._client.upload_artifact(self._claim, CHECKPOINT, newest, *at)
                self._done, self._is_told = at, False
            except FileNotFoundError:
                self._next_at = 0.0  # the child has just replaced it by a newer one
            except (LeaseLost, Unreachable, Unreadable, OSError) as problem:
                if not self._is_told:
                    logger.warning("run %d: a checkpoint could not be handed in: %s", self._claim.run, problem)
                self._is_told = True
                return not isinstance(problem, Unreachable)
            return True

    def _upload_best(self, newest: Path) -> None:
        """If they are the best that the newest checkpoint knows of: older ones may have stayed on this disk."""
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
