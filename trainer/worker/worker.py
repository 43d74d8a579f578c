"""The process that owns one device: claims a run, works on it until it ends (attempt.py), and claims the next.

Never imports an ML framework. While the app is down, a run continues, and its reports are delivered later. SIGTERM
stops the child at a checkpoint, returns its run to the queue and ends the worker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from trainer.machine.devices import installed_backends, is_responding
from trainer.protocol import DEVICE_LOST
from trainer.worker.attempt import RETRY_S, Attempt
from trainer.worker.child import TRAINER
from trainer.worker.children import Children
from trainer.worker.client import WAIT_S, Claim, Client, Denied, Unreachable, Unreadable
from trainer.worker.timing import DEFAULT_TIMING, Timing
from trainer.worker.workspace import can_write, delete_old

logger = logging.getLogger("pitwall.worker")

QUIET_TRIES = 4  # some four seconds without a warning: the app may be starting at the same time


class Stop(Exception):
    """SIGTERM or Ctrl-C arrived while the worker waited for work."""


class Worker:
    """The worker's loop. `once()` is one iteration, which tests call directly."""

    def __init__(
        self,
        client: Client,
        device: str,
        data_dir: Path,
        name: str | None = None,
        trainer: tuple[str, ...] = TRAINER,
        *,
        keeps_warm: bool = False,
        timing: Timing = DEFAULT_TIMING,
        answers: Callable[[str], bool] = is_responding,
    ) -> None:
        """`keeps_warm`: a child for the next run. `answers`: whether a device still does."""
        self._timing, self._answers = timing, answers
        self.name = name or f"{platform.node() or 'worker'}/{device}"
        self.device = device
        self._client = client
        self.backends = installed_backends()
        self._data_dir = data_dir
        self._children = Children(
            data_dir / "datasets", child_environment(device), trainer, device=device, keeps_warm=keeps_warm
        )
        self._latest: dict[str, Any] | None = None  # the recipe of the run that has just ended without failure
        self._stopping = threading.Event()
        self._waiting = False
        self._failures = 0
        self._attempt: Attempt | None = None

    def run(self) -> None:
        """Work until stopped."""
        logger.info("worker %s is waiting for runs", self.name)
        delete_old(self._data_dir / "work")
        try:
            while not self._stopping.is_set():
                self.once()
        except Stop:
            pass
        finally:
            self._children.close()
        counts = ", ".join(f"{number} {what}" for what, number in self._children.counts.items())
        logger.info("worker %s stopped; warm children: %s", self.name, counts)

    def once(self) -> bool:
        """Wait for one run and work on it; False if there was none, or the app could not be reached."""
        # warm up a child only if no other run is available immediately
        wait_s = WAIT_S if self._latest is None else 0.0
        try:
            self._waiting = True
            try:
                claim = self._client.claim(self.name, self.device, self.backends, wait_s)
            finally:
                self._waiting = False
        except (Denied, Unreadable) as problem:
            raise SystemExit(f"pitwall.worker: the app refuses this worker: {problem}") from None
        except Unreachable as problem:
            if self._failures == QUIET_TRIES:
                logger.warning("the app cannot be reached (%s); trying again", problem)
            self._stopping.wait(RETRY_S[min(self._failures, len(RETRY_S) - 1)])
            self._failures += 1
            return False
        self._failures = 0
        latest, self._latest = self._latest, None
        if claim is None:
            if latest is not None:
                self._children.warm_up(latest)
            return False
        self._work(claim)
        return True

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Signal handler: stop waiting for runs, or return the current run to the queue; a second call: immediately."""
        if self._stopping.is_set() and self._attempt is not None:
            self._attempt.stop_now()
        self._stopping.set()
        if self._waiting:
            self._waiting = False
            raise Stop

    def _work(self, claim: Claim) -> None:
        logger.info("run %d, attempt %d: claimed", claim.run, claim.attempt)
        self._attempt = Attempt(self._client, claim, self._data_dir, self._stopping, self._children, self._timing)
        try:
            self._attempt.run()
            self._latest = None if self._attempt.has_failed else claim.recipe  # a failed recipe would fail again
            if self._attempt.failure == DEVICE_LOST:
                trouble = f"{self.device} no longer responds: reset it, or restart the machine"
                self._wait_until(lambda: self._answers(self.device), trouble)
            if self._attempt.trouble:
                self._wait_until(lambda: can_write(self._data_dir / "work"), self._attempt.trouble)
        finally:
            self._attempt = None

    def _wait_until(self, works: Callable[[], bool], trouble: str) -> None:
        """Report the trouble and claim no runs until `works()`: a lost GPU or a full disk needs a person."""
        for turn in range(sys.maxsize):
            if works() or self._stopping.is_set():
                return
            if turn == 0:
                logger.error("%s; taking no runs until then", trouble)
            with contextlib.suppress(Unreachable, Unreadable):
                self._client.report_trouble(self.name, self.device, self.backends, trouble)
            self._stopping.wait(self._timing.trouble_s)


def child_environment(device: str) -> dict[str, str]:
    """The environment of a child, which shows only its device and none of the worker's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PITWALL_")}
    kind, _, index = device.partition(":")
    return kept | {
        "CUDA_VISIBLE_DEVICES": index if kind == "gpu" else "-1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # number GPUs like nvidia-smi, not by speed
        "PYTHONUNBUFFERED": "1",
    }
