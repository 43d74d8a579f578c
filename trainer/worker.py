"""The process that owns one device: claim a run, start the trainer, carry what it says to the app, finish.

    python -m trainer.worker --server URL --token-file FILE --device cpu|gpu:N

Light on purpose: never imports an ML framework. The app may be down for as long as it likes: a run goes on, and
what it says is delivered later. SIGTERM stops the child, hands its run back to the queue and ends.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from trainer.child import TRAINER, Child
from trainer.client import Claim, Client, Denied, NotYours, Unreachable, Unreadable
from trainer.devices import devices, named
from trainer.exits import STOPPED, describe
from trainer.parent import die_with
from trainer.spool import BATCH_EVENTS

logger = logging.getLogger("pitwall.worker")

BEAT_S = 2.0
POLL_S = 0.2  # how often the child is looked at
PATIENCE_S = 10.0  # from asking the child to stop to killing it
LAST_WORDS_S = 10.0  # how long a stopping worker tries to deliver
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # waits while the app is unreachable; the last one repeats
QUIET_TRIES = 4  # some four seconds: the app may just be starting beside us
BACKENDS = ["tensorflow"]


class Stop(Exception):
    """SIGTERM or Ctrl-C arrived while the worker waited for work."""


class Worker:
    """The loop. `once()` is one turn of it, so that a test can drive it by hand."""

    def __init__(
        self, client: Client, device: str, data_dir: Path, name: str | None = None, trainer: tuple[str, ...] = TRAINER
    ) -> None:
        self.name = name or f"{platform.node() or 'worker'}/{device}"
        self.device = device
        self._client = client
        self._data_dir = data_dir
        self._trainer = trainer
        self._stopping = threading.Event()
        self._waiting = False
        self._failures = 0

    def run(self) -> None:
        """Work until told to stop."""
        logger.info("worker %s waits for runs", self.name)
        try:
            while not self._stopping.is_set():
                self.once()
        except Stop:
            pass
        logger.info("worker %s stops", self.name)

    def once(self) -> bool:
        """Wait for one run and work on it; False when there was none, or the app could not be reached."""
        try:
            self._waiting = True
            try:
                claim = self._client.claim(self.name, self.device, BACKENDS)
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
        if claim is None:
            return False
        self._work(claim)
        return True

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Signal handler: stop soon. Waiting for work is left at once, work is handed back."""
        self._stopping.set()
        if self._waiting:
            self._waiting = False
            raise Stop

    def _work(self, claim: Claim) -> None:
        logger.info("run %d, attempt %d: claimed", claim.run, claim.attempt)
        child = Child(
            claim.recipe,
            self._data_dir / "work" / str(claim.run),
            self._data_dir / "datasets",
            _environment(self.device),
            self._trainer,
        )
        lost = threading.Event()
        carrier = threading.Thread(target=self._carry, args=(claim, child, lost), name="carrier")
        carrier.start()
        try:
            exit_code, cancelled = self._watch(claim, child, lost)
        finally:
            child.close()
            carrier.join()
        if lost.is_set():
            logger.warning("run %d, attempt %d: lost to somebody else", claim.run, claim.attempt)
        elif not child.spool.done:
            logger.error("run %d, attempt %d: not all was delivered; leaving it to its lease", claim.run, claim.attempt)
        else:
            outcome, reason = self._outcome(exit_code, cancelled)
            taken = self._insist(lambda: self._client.finish(claim, outcome, exit_code, reason))
            words = outcome if taken else f"{outcome}, which the app did not take"
            logger.info("run %d, attempt %d: %s (exit code %d)", claim.run, claim.attempt, words, exit_code)

    def _watch(self, claim: Claim, child: Child, lost: threading.Event) -> tuple[int, bool]:
        """Beat and obey until the child has ended. Answers its exit code and whether it was cancelled."""
        cancelled, beat_at = False, time.monotonic() + BEAT_S
        while (exit_code := child.exit_code(POLL_S)) is None:
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_S
                try:
                    command = self._client.beat(claim)
                    cancelled = cancelled or command.startswith("cancel")
                    if command == "cancel_now":
                        child.kill()
                except NotYours:
                    lost.set()
                except (Unreachable, Unreadable):
                    pass  # the run goes on without the app; the carrier says what is wrong
            if lost.is_set():
                child.kill()
            elif cancelled or self._stopping.is_set():
                child.stop(PATIENCE_S)
        return exit_code, cancelled

    def _outcome(self, exit_code: int, cancelled: bool) -> tuple[str, str | None]:
        if exit_code == 0:
            return "succeeded", None
        if cancelled:
            return "cancelled", None
        if self._stopping.is_set() or exit_code == STOPPED:
            return "released", "its worker was stopped"
        return "failed", describe(exit_code)

    def _carry(self, claim: Claim, child: Child, lost: threading.Event) -> None:
        """The second thread: deliver the spool in order, for as long as it takes."""
        at_most = BATCH_EVENTS
        while not child.spool.done and not lost.is_set():
            batch = child.spool.take(1.0, at_most)
            if batch is None:
                continue
            counts = True
            try:
                if not self._insist(lambda batch=batch: self._client.report(claim, batch)):  # type: ignore[misc]
                    lost.set()
                    return
            except Unreadable as problem:
                if len(batch.events) > 1:
                    at_most = 1  # find the one that cannot be read, and leave out no other
                    continue
                logger.error("run %d: the app cannot read a report, which is left out: %s", claim.run, problem)
                counts = False
            child.spool.delivered(batch, counts=counts)
            at_most = BATCH_EVENTS if counts else at_most

    def _insist(self, deliver: Callable[[], None]) -> bool:
        """Try until the app has it. False when it is not ours any more, or a stopping worker ran out of time."""
        ends: float | None = None
        for attempt in range(sys.maxsize):
            try:
                deliver()
            except NotYours:
                return False
            except Unreachable as problem:
                if attempt == 0:
                    logger.warning("the app cannot be reached (%s); keeping what the run says", problem)
                if self._stopping.is_set():
                    ends = ends or time.monotonic() + LAST_WORDS_S
                    if time.monotonic() > ends:
                        return False
                time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            else:
                return True
        return False


def _environment(device: str) -> dict[str, str]:
    """The child sees its own device only, and none of our settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PITWALL_")}
    kind, _, index = device.partition(":")
    return kept | {
        "CUDA_VISIBLE_DEVICES": index if kind == "gpu" else "-1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # count as nvidia-smi does, not by speed
        "PYTHONUNBUFFERED": "1",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m trainer.worker", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", default=os.environ.get("PITWALL_SERVER", "http://127.0.0.1:8000"))
    data_dir = Path(os.environ.get("PITWALL_DATA_DIR", "data"))
    parser.add_argument("--token-file", type=Path, default=data_dir / "worker-token")
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="folder of data sets and work")
    parser.add_argument("--device", type=_device, default=None, help="cpu, gpu:N, or auto: the first that is there")
    parser.add_argument("--name", default=None)
    parser.add_argument("--parent", type=int, default=None, help="end when this process has ended")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line per request
    if arguments.parent is not None:
        die_with(arguments.parent, signal.SIGTERM)
    device = arguments.device or devices(os.environ.get("CUDA_VISIBLE_DEVICES"))[0]
    client = Client(arguments.server, _token(arguments.token_file))
    worker = Worker(client, device, arguments.data_dir, arguments.name)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()
    client.close()


def _device(text: str) -> str | None:
    return None if text == "auto" else named(text)


def _token(path: Path) -> str:
    """The worker token; the app makes the file at its first start, which may be a moment after ours."""
    for attempt in range(sys.maxsize):
        try:
            if token := path.read_text().strip():
                return token
        except (FileNotFoundError, PermissionError) as problem:
            if attempt == 0:
                logger.warning("waiting for the worker token: %s", problem)
        time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main()
