"""The process that owns one device: claim a run, work on it to its end (attempt.py), claim the next.

    python -m trainer.worker --server URL --token-file FILE --device cpu|gpu:N

Light on purpose: never imports an ML framework. The app may be down for as long as it likes: a run goes on, and
what it says is delivered later. SIGTERM stops the child at a checkpoint, hands its run back to the queue and ends.
"""

from __future__ import annotations

import argparse
import contextlib
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
from typing import Any

from trainer.engine.backends import installed
from trainer.machine.devices import answers, devices, named
from trainer.machine.gauge import gauge
from trainer.machine.parent import die_with
from trainer.protocol import DEVICE_LOST
from trainer.worker.attempt import RETRY_S, AtWork
from trainer.worker.child import TRAINER
from trainer.worker.children import Children
from trainer.worker.client import WAIT_S, Claim, Client, Denied, Unreachable, Unreadable
from trainer.worker.tasks import Tasks
from trainer.worker.workspace import can_write, drop_old

logger = logging.getLogger("pitwall.worker")

TROUBLE_S = 5.0  # how often a device or a disk that does not work is looked at
QUIET_TRIES = 4  # some four seconds: the app may just be starting beside us


class Stop(Exception):
    """SIGTERM or Ctrl-C arrived while the worker waited for work."""


class Worker:
    """The loop. `once()` is one turn of it, so that a test can drive it by hand."""

    def __init__(
        self,
        client: Client,
        device: str,
        data_dir: Path,
        name: str | None = None,
        trainer: tuple[str, ...] = TRAINER,
        *,
        keeps_warm: bool = False,
    ) -> None:
        """`keeps_warm`: a child for the next run."""
        self.name = name or f"{platform.node() or 'worker'}/{device}"
        self.device = device
        self._client = client
        self.backends = installed()
        self._data_dir = data_dir
        self._children = Children(
            data_dir / "datasets", _environment(device), trainer, device=device, keeps_warm=keeps_warm
        )
        self._latest: dict[str, Any] | None = None  # the recipe of a run that has just ended well
        self._stopping = threading.Event()
        self._waiting = False
        self._failures = 0
        self._at_work: AtWork | None = None

    def run(self) -> None:
        """Work until told to stop."""
        logger.info("worker %s waits for runs", self.name)
        drop_old(self._data_dir / "work")
        try:
            while not self._stopping.is_set():
                self.once()
        except Stop:
            pass
        finally:
            self._children.close()
        counts = ", ".join(f"{number} {what}" for what, number in self._children.counts.items())
        logger.info("worker %s stops; of its warm children: %s", self.name, counts)

    def once(self) -> bool:
        """Wait for one run and work on it; False when there was none, or the app could not be reached."""
        # only when no other run is to be had at once is there time to get ready for the next
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
                self._children.prepare(latest)
            return False
        self._work(claim)
        return True

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Signal handler: stop soon. Waiting for work is left at once, work is handed back; a second time: now."""
        if self._stopping.is_set() and self._at_work is not None:
            self._at_work.hurry()
        self._stopping.set()
        if self._waiting:
            self._waiting = False
            raise Stop

    def _work(self, claim: Claim) -> None:
        logger.info("run %d, attempt %d: claimed", claim.run, claim.attempt)
        self._at_work = AtWork(self._client, claim, self._data_dir, self._stopping, self._children)
        try:
            self._at_work.do()
            self._latest = None if self._at_work.has_failed else claim.recipe  # what failed would fail again
            if self._at_work.failure == DEVICE_LOST:
                trouble = f"{self.device} does not answer any more: reset it, or restart the machine"
                self._wait_until(lambda: answers(self.device), trouble)
            if self._at_work.trouble:
                self._wait_until(lambda: can_write(self._data_dir / "work"), self._at_work.trouble)
        finally:
            self._at_work = None

    def _wait_until(self, works: Callable[[], bool], trouble: str) -> None:
        """A card that fell off its bus and a disk that is full are not ours to mend: say so, take no runs, and wait."""
        for turn in range(sys.maxsize):
            if works() or self._stopping.is_set():
                return
            if turn == 0:
                logger.error("%s; taking no runs until then", trouble)
            with contextlib.suppress(Unreachable, Unreadable):
                self._client.complain(self.name, self.device, self.backends, trouble)
            self._stopping.wait(TROUBLE_S)


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
    parser.add_argument("--name", default=None, help="how the app lists it; must be its own (default: HOST/DEVICE)")
    parser.add_argument(
        "--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="at least so far apart (default: 60)"
    )
    parser.add_argument(
        "--warm",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("PITWALL_WARM", "1") != "0",
        help="keep a child ready for the next run (default: PITWALL_WARM, or yes)",
    )
    parser.add_argument("--parent", type=int, default=None, help="end when this process has ended")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line per request
    if arguments.parent is not None:
        die_with(arguments.parent, signal.SIGTERM)
    device = arguments.device or devices(os.environ.get("CUDA_VISIBLE_DEVICES"))[0]
    token = _token(arguments.token_file)
    client = Client(arguments.server, token, gauge(device))
    compiled = arguments.data_dir / "compiled" / device.replace(":", "-")
    more = ("--checkpoint-every", str(arguments.checkpoint_every), "--meter", device, "--compiled", str(compiled))
    worker = Worker(client, device, arguments.data_dir, arguments.name, (*TRAINER, *more), keeps_warm=arguments.warm)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    Tasks(Client(arguments.server, token), worker.name, device, worker.backends, _environment("cpu")).start()
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
