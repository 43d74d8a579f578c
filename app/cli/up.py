"""`python -m app up`: starts the web process and this machine's workers, restarts what dies, stops them together.

The web process is a child like the workers, so that its restart never affects a run.
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
from app.web.tokens import load_or_create
from trainer.machine.devices import list_devices

logger = logging.getLogger("pitwall")

GRACE_S = 30.0  # from SIGTERM to SIGKILL: a worker delivers its last reports
RESTART_DELAYS_S = (0.5, 1.0, 2.0, 5.0, 10.0)
HEALTHY_S = 60.0  # a process that ran this long is restarted with the first delay again
REFUSED = (1, 3)  # exit codes of a web process that cannot start (ours, uvicorn's): a restart would not help


@dataclass
class Process:
    """A child process that is kept running."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    deaths: int = 0

    def start(self) -> None:
        # a process group of its own: Ctrl-C reaches the supervisor alone, which decides the order of shutdown
        command = [sys.executable, "-m", *self.command, "--parent", str(os.getpid())]
        self.process = subprocess.Popen(command, process_group=0)
        self.started_at = time.monotonic()

    @property
    def failed_at_start(self) -> bool:
        """Whether it died for the first time, and within HEALTHY_S."""
        return self.deaths == 1 and self.due_at - self.started_at < HEALTHY_S

    def poll_exit(self) -> int | None:
        """The exit code, once after each exit; schedules the restart with a growing delay."""
        code = self.process.poll() if self.process else None
        if code is None:
            return None
        self.process = None
        now = time.monotonic()
        self.deaths = 0 if now - self.started_at > HEALTHY_S else self.deaths
        self.due_at = now + RESTART_DELAYS_S[min(self.deaths, len(RESTART_DELAYS_S) - 1)]
        self.deaths += 1
        return code


@dataclass
class Supervisor:
    """Runs all processes until a signal stops it."""

    processes: list[Process]
    stopping: bool = field(default=False)

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def run(self) -> int:
        """Start all processes and restart those that die, until stopped. Returns the exit code."""
        code = 0
        while not self.stopping:
            for part in self.processes:
                if part.process is None and time.monotonic() >= part.due_at:
                    part.start()
                ended = part.poll_exit()
                if ended is None or self.stopping:
                    continue
                if part.name == "web" and ended in REFUSED and part.failed_at_start:
                    self.stopping, code = True, 1  # it has logged why: a port or a database in use, no token
                    break
                logger.warning("%s ended with exit code %d; starting it again", part.name, ended)
            time.sleep(0.1)
        self._end()
        return code

    def _end(self) -> None:
        """Stop the workers first: they deliver their last reports to the web process."""
        for group in ([part for part in self.processes if part.name != "web"], self.processes):
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
    """Run the web process and one worker per device until Ctrl-C or SIGTERM. Returns the exit code."""
    url = address(settings.host, settings.port)
    load_or_create(settings.worker_token_file)  # before the workers read it
    wanted = {"auto": list_devices(settings.visible_gpus), "none": []}.get(
        settings.workers, settings.workers.split(",")
    )
    shared = ["--server", url, "--token-file", str(settings.worker_token_file), "--data-dir", str(settings.data_dir)]
    supervisor = Supervisor(
        [Process("web", ["app", "serve"])]
        + [Process(f"worker {device}", ["trainer.worker", *shared, "--device", device]) for device in wanted]
    )
    signal.signal(signal.SIGINT, supervisor.stop)
    signal.signal(signal.SIGTERM, supervisor.stop)
    logger.info("starting %s with workers for %s; Ctrl-C stops all", url, ", ".join(wanted) or "nothing")
    return supervisor.run()


def address(host: str, port: int) -> str:
    """The URL of the app on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
