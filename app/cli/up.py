"""`python -m app up`: the web process and this machine's workers, started, kept and stopped together.

The web process is a child like the workers, so that its restart never touches a run. Must not know the records.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

from app.settings import Settings
from app.web.tokens import made
from trainer.machine.devices import devices

logger = logging.getLogger("pitwall")

GRACE_S = 30.0  # from SIGTERM to SIGKILL: a worker delivers its last words
AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # waits before a process that died is started again
HEALTHY_S = 60.0  # after so long a death counts as the first again
REFUSED = (1, 3)  # exit codes of a web process that will not start (ours, uvicorn's): trying again would not help


@dataclass
class Kept:
    """One process that shall run for as long as we do."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    deaths: int = 0

    def start(self) -> None:
        # a process group of its own, so that Ctrl-C reaches us alone and the order of the ends is ours
        command = [sys.executable, "-m", *self.command, "--parent", str(os.getpid())]
        self.process = subprocess.Popen(command, process_group=0)
        self.started_at = time.monotonic()

    @property
    def was_short(self) -> bool:
        """Whether its latest life, the first one, ended before it can have been of use."""
        return self.deaths == 1 and self.due_at - self.started_at < HEALTHY_S

    def died(self) -> int | None:
        """The exit code, once; the next start is put off a little longer each time."""
        code = self.process.poll() if self.process else None
        if code is None:
            return None
        self.process = None
        now = time.monotonic()
        self.deaths = 0 if now - self.started_at > HEALTHY_S else self.deaths
        self.due_at = now + AGAIN_S[min(self.deaths, len(AGAIN_S) - 1)]
        self.deaths += 1
        return code


@dataclass
class Crew:
    """All of them."""

    parts: list[Kept]
    stopping: bool = field(default=False)

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def keep(self) -> int:
        """Start all, restart what dies, until told to stop. Answers the exit code."""
        code = 0
        while not self.stopping:
            for part in self.parts:
                if part.process is None and time.monotonic() >= part.due_at:
                    part.start()
                ended = part.died()
                if ended is None or self.stopping:
                    continue
                if part.name == "web" and ended in REFUSED and part.was_short:
                    self.stopping, code = True, 1  # it has said why: a port or a database in use, no token
                    break
                logger.warning("%s ended with exit code %d; starting it again", part.name, ended)
            time.sleep(0.1)
        self._end()
        return code

    def _end(self) -> None:
        """Workers first: they deliver their last words to the web process, which goes last."""
        for group in ([part for part in self.parts if part.name != "web"], self.parts):
            alive = [part.process for part in group if part.process and part.process.poll() is None]
            for process in alive:
                process.terminate()
            ends = time.monotonic() + GRACE_S
            for process in alive:
                try:
                    process.wait(max(ends - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def up(settings: Settings) -> int:
    """Run the web process and one worker per device until Ctrl-C or SIGTERM. Answers the exit code."""
    here = address(settings.host, settings.port)
    made(settings.worker_token_file)  # before the workers look for it
    wanted = {"auto": devices(settings.visible_gpus), "none": []}.get(settings.workers, settings.workers.split(","))
    shared = ["--server", here, "--token-file", str(settings.worker_token_file), "--data-dir", str(settings.data_dir)]
    crew = Crew(
        [Kept("web", ["app", "serve"])]
        + [Kept(f"worker {device}", ["trainer.worker", *shared, "--device", device]) for device in wanted]
    )
    signal.signal(signal.SIGINT, crew.stop)
    signal.signal(signal.SIGTERM, crew.stop)
    logger.info("starting %s with workers for %s; Ctrl-C stops all", here, ", ".join(wanted) or "nothing")
    return crew.keep()


def address(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
