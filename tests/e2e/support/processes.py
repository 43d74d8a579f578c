"""Pitwall as somebody runs it: real processes on a free port over a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
STARTS_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], seconds: float, why: str, every: float = 0.1) -> Any:
    """Ask until the answer is true; fail with `why` after so many seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if answer := what():
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {why}")


class Site:
    """One data folder, its web process and its workers. `close` leaves nothing running."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "processes.log").open("ab+")
        self._environment = os.environ | {
            "PITWALL_DATA_DIR": str(self.data_dir),
            "PITWALL_PORT": str(self.port),
            "PITWALL_QUICKSTART": "0",
            **settings,
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *module: str) -> subprocess.Popen[bytes]:
        """`python -m MODULE …` with this site's settings."""
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def serve(self) -> subprocess.Popen[bytes]:
        """The web process alone; returns when it answers."""
        process = self.start("app", "serve")
        self.wait_until_up(process)
        return process

    def work(self, *more: str) -> subprocess.Popen[bytes]:
        """One CPU worker that keeps each epoch."""
        arguments = ("--server", self.url, "--device", "cpu", "--checkpoint-every", "0")
        return self.start("trainer.worker", *arguments, *more)

    def wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        def answers() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}:\n{self.log()}"
            try:
                return bool(self.get("/readyz"))
            except OSError:
                return False

        until(answers, STARTS_S, "the web process answers")

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        if data is None:
            request.remove_header("Content-type")
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def launch(self, **asked: Any) -> int:
        return int(self.post("/api/v1/runs", asked)["runs"][0]["id"])

    def run(self, run_id: int) -> dict[str, Any]:
        run: dict[str, Any] = self.get(f"/api/v1/runs/{run_id}")
        return run

    def wait_for(self, run_id: int, *statuses: str, seconds: float = 150) -> dict[str, Any]:
        """Until the run stands at one of the statuses."""

        def stands() -> dict[str, Any] | None:
            try:
                run = self.run(run_id)
            except (OSError, urllib.error.URLError):
                return None  # the web process is just being restarted
            return run if run["status"] in statuses else None

        found: dict[str, Any] = until(stands, seconds, f"run {run_id} is {' or '.join(statuses)}\n{self.log()}")
        return found

    def log(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-8000:]

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        for process in self._running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._log.close()
