"""A small Pitwall to be broken: a data folder, its app on a port that stays, workers with names. All real processes.

Everything that is started here carries `CHAOS_WORLD` in its environment, its children's children too, so that what
is left behind can be found. Must not know what is done to it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from typing import Any

import psutil

from tests.e2e.support.processes import ROOT, until

ENDED = ("succeeded", "failed", "cancelled")
STARTS_S = 60.0  # for an app on a machine that is busy with all the other scenarios
MARK = "CHAOS_WORLD"
PORTS = (20_000, 32_000)  # below those that Linux gives to outgoing connections
LOOK_S = 0.25  # how often somebody who waits looks: each look costs the app some milliseconds
TAIL = 12  # lines of each log that a failure prints

LIGHT: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 400, "val_limit": 100},
    "schedule": {"kind": "triangular", "base_lr": 0.01, "max_lr": 0.5, "step_epochs": 3},
    "augment": [{"op": "pad_crop", "pad": 2, "mode": "constant"}, {"op": "cutout", "p": 0.5}],
    "batch_size": 50,
}
STEPS = 8  # of an epoch of it


def light(epochs: int = 8, step_ms: int = 20, seed: int = 1, **more: Any) -> dict[str, Any]:
    """A recipe for the light trainer: epochs of 8 steps, each of so many milliseconds."""
    return LIGHT | {"epochs": epochs, "seed": seed, "model": {"width": step_ms}} | more


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class World:
    """Call `serve` and `work` first. `close` kills all processes."""

    def __init__(
        self, folder: Path, *, app: tuple[str, ...] = ("app", "serve"), host: str = "127.0.0.1", **settings: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data_dir = folder, folder / "data"
        self.host, self.port = host, _port()
        self.url = f"http://{host}:{self.port}"
        self.token = ""  # to log in with, where the app asks for it
        self.statuses: dict[int, int] = {}  # how often each HTTP status was answered here
        self._app = app
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PITWALL_")}
        self.environment = kept | {
            "PITWALL_DATA_DIR": str(self.data_dir),
            "PITWALL_HOST": host,
            "PITWALL_PORT": str(self.port),
            "PITWALL_QUICKSTART": "0",
            MARK: str(folder),
            **settings,
        }
        self.app: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []

    # processes

    def start(self, log: str, command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        """Start a process of this world; its output goes to `<log>.log`."""
        with (self.folder / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **more
            )
        self._started.append(process)
        return process

    def serve(self, *, wait: bool = True) -> float:
        """Start the app; returns the seconds until its first response."""
        began = time.monotonic()
        self.app = self.start("app", [sys.executable, "-m", *self._app, "--parent", str(os.getpid())])
        if wait:
            until(self._is_up, STARTS_S, "the app answers", every=0.05)
        return time.monotonic() - began

    def kill_app(self, number: signal.Signals = signal.SIGKILL) -> float:
        """Returns the seconds until it has ended."""
        assert self.app is not None
        began = time.monotonic()
        self.app.send_signal(number)
        self.app.wait(30)
        return time.monotonic() - began

    def work(
        self,
        name: str,
        *,
        every: float = 0,
        data_dir: Path | None = None,
        module: str = "tests.chaos.light_worker",
        before: tuple[str, ...] = (),
        warm: bool = False,
    ) -> subprocess.Popen[bytes]:
        """A worker. `every`: seconds between checkpoints; `data_dir`: a disk of its own; `before`: runs the command;
        `warm`: it keeps a child for its next run."""
        options = {
            "--server": self.url,
            "--token-file": str(self.data_dir / "worker-token"),
            "--data-dir": str(data_dir or self.data_dir),
            "--device": "cpu",
            "--name": name,
            "--checkpoint-every": str(every),
            "--parent": str(os.getpid()),
        }
        words = [word for option in options.items() for word in option]
        flag = "--warm" if warm else "--no-warm"
        return self.start(name, [*before, sys.executable, "-m", module, *words, flag])

    @staticmethod
    def child_of(worker: subprocess.Popen[bytes]) -> psutil.Process | None:
        """The trainer process of a worker's current run."""
        try:
            # the older one: beside it, another may get ready for the next run
            oldest = min(psutil.Process(worker.pid).children(), key=lambda child: child.create_time(), default=None)
            return oldest if oldest and oldest.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def close(self) -> None:
        """Kill all of it, stopped ones too."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
        for process in self._started:
            process.wait()

    # requests

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Answer:
        """One request. Raises OSError if there is no response."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), sent | {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, sent | dict(headers or {}))
            answer = connection.getresponse()
            content, kind = answer.read(), answer.getheader("Content-Type", "")
        except http.client.HTTPException as error:
            raise ConnectionError(f"the answer was cut: {error!r}") from error
        finally:
            connection.close()
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        is_json = "json" in kind and content
        return Answer(answer.status, json.loads(content) if is_json else content, dict(answer.getheaders()))

    def get(self, path: str) -> Any:
        """GET a resource; retries while the app is down."""
        ends = time.monotonic() + STARTS_S
        while True:
            try:
                answer = self.send("GET", path)
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)
                continue
            assert answer.status == 200, f"{answer.status} to {path}: {answer.body}"
            return answer.body

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.send("POST", path, body)
        assert answer.status < 300, f"{answer.status} to {path}: {answer.body}"
        return answer.body

    def launch(self, recipe: dict[str, Any], **asked: Any) -> int:
        return int(self.post("/api/v1/runs", {"recipe": recipe, **asked})["runs"][0]["id"])

    def verb(self, run_id: int, verb: str, body: Any = None) -> Any:
        return self.post(f"/api/v1/runs/{run_id}/{verb}", body)

    def run(self, run_id: int) -> dict[str, Any]:
        run: dict[str, Any] = self.get(f"/api/v1/runs/{run_id}")
        return run

    def epochs(self, run_id: int) -> list[int]:
        return [row["epoch"] for row in self.get(f"/api/v1/runs/{run_id}/epochs")]

    def wait_for(self, run_id: int, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """Until the run stands at one of the statuses."""

        def stands() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] in statuses else None

        found: dict[str, Any] = until(stands, seconds, f"run {run_id} is {' or '.join(statuses)}", every=LOOK_S)
        return found

    def wait_epochs(self, run_id: int, count: int, seconds: float = 60.0) -> None:
        until(lambda: len(self.epochs(run_id)) >= count, seconds, f"run {run_id} has {count} epochs", every=LOOK_S)

    def worker_headers(self, **more: str) -> dict[str, str]:
        token = (self.data_dir / "worker-token").read_text().strip()
        return {"Authorization": f"Bearer {token}"} | more

    def bugs(self) -> int:
        """How often the app answered 500, to any client."""
        log = self.folder / "app.log"
        return log.read_text(errors="replace").count("Exception in ASGI application") if log.exists() else 0

    def tails(self) -> str:
        """The last lines of every process's log."""
        parts = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-TAIL:]
            parts.append("\n".join([f"--- {log.parent.name}/{log.name}", *lines]))
        return "\n".join(parts)

    def _is_up(self) -> bool:
        assert self.app is not None
        assert self.app.poll() is None, f"the app ended with {self.app.returncode}\n{self.tails()}"
        try:
            return self.send("GET", "/readyz", timeout=5).status == 200
        except OSError:
            return False


def _port() -> int:
    """A free one, of those that the system gives to nobody by itself: an app that was killed must find it free again,
    and who calls it meanwhile must not be given it as his own.
    """
    while True:
        port = randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(what: Callable[[], Any], seconds: float) -> float | None:
    """The seconds until `what` was true; None if it was not within the limit."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if what():
            return passed
        time.sleep(0.1)
    return None
