"""The cast of the app's tests: whoever launches a run, the worker that carries it, a server on a real port."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import uvicorn

from app.__main__ import Server
from app.application import create_app
from app.images.augmentation import AugmentationPreviews
from app.live.events import Hub
from app.live.leases import Leases
from app.records.database import Records
from app.runs import runs
from app.runs.recipes import resolve
from app.settings import Settings
from app.timing import DEFAULT_TIMING, Timing
from app.web.deps import State
from app.web.tokens import Tokens
from app.workers import queue
from trainer.data.gallery import Gallery
from trainer.events import Event, event_adapter

HERE = "http://127.0.0.1:8000"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPACE = "\u202f"  # between a number and its unit, on pages
SMALL: dict[str, Any] = {"epochs": 4, "batch_size": 50, "model": {"width": 4}}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Nothing is left to the environment of whoever runs the tests."""
    kept: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 8000,
        "database_url": "",
        "allowed_hosts": "",
        "token": "",
        "workers": "none",
    }
    return Settings(**(kept | {"data_dir": folder, "quickstart": False} | changes))


@cache
def _tables() -> bytes:
    """A database without rows, as the migrations make it: copying it takes a tenth of their time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pitwall.db"
        Records(f"sqlite:///{path}").close()
        return path.read_bytes()


def state_of(settings: Settings, timing: Timing = DEFAULT_TIMING) -> State:
    hub = Hub()
    path = settings.data_dir / "pitwall.db"
    if not settings.database_url and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_tables())
    previews = AugmentationPreviews(Gallery(settings.datasets_dir, settings.data_dir / "previews"))
    records, leases = Records(settings.url, hub.publish, timing), Leases(timing=timing)
    return State(settings, records, hub, leases, Tokens.load(settings), previews, timing=timing)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# what a child says


def started(**changes: Any) -> dict[str, Any]:
    said = {
        "event": "started",
        "train_images": 1497,
        "val_images": 300,
        "classes": list("0123456789"),
        "steps_per_epoch": 30,
        "parameters": {"total": 30, "trainable": 20, "non_trainable": 10},
        "environment": {"device": "cpu", "keras": "3.15.1"},
    }
    return said | changes


def epoch(number: int, val_accuracy: float | None = 0.5, seconds: float = 2.0, **changes: Any) -> dict[str, Any]:
    said = {
        "event": "epoch",
        "epoch": number,
        "train_loss": 1.0 / number,
        "train_accuracy": 0.5,
        "val_loss": 1.1 / number,
        "val_accuracy": val_accuracy,
        "learning_rate": 0.01,
        "seconds": seconds,
    }
    return said | changes


def step(number: int, of: int = 30, **changes: Any) -> dict[str, Any]:
    said = {"event": "step", "phase": "training", "epoch": 1, "step": number, "steps_per_epoch": of, "seconds": 1.0}
    return said | changes


def events(*said: dict[str, Any]) -> list[Event]:
    return [event_adapter.validate_python(one) for one in said]


# with the records in hand


def launch(state: State, recipe: dict[str, Any] | None = None, *, repeats: int = 1, **labels: Any) -> int:
    """Queue a small run; answers its id (of the first, where it is repeated)."""
    with state.records.write() as session:
        resolved = resolve(None, SMALL | (recipe or {}), state.settings.datasets_dir, strict=True)
        return runs.launch(session, resolved, runs.RunLabels(**labels), NOW, repeats=repeats)[0].id


def claim(state: State, worker: str = "ada", backends: tuple[str, ...] = ("tensorflow",)) -> tuple[int, int] | None:
    """(run, attempt), or None where there is nothing to do."""
    with state.records.write() as session:
        run = queue.claim(session, queue.ClaimingWorker(worker, "cpu", list(backends)), NOW)
        return (run.id, run.attempt) if run else None


# over HTTP


class Hand:
    """A worker moved by hand: the four verbs over any HTTP client."""

    def __init__(self, http: httpx2.Client, state: State, name: str = "ada") -> None:
        self.http = http
        self.name = name
        self.run = self.attempt = self.seq = self.log_size = 0
        self._headers = bearer(state.tokens.worker)

    def claim(self) -> bool:
        body = {"worker": self.name, "device": "cpu", "backends": ["tensorflow"], "wait_s": 0}
        answer = self.http.post("/api/v1/worker/claim", json=body, headers=self._headers)
        if answer.status_code == 204:
            return False
        self.run, self.attempt = answer.json()["run"], answer.json()["attempt"]
        self.seq = self.log_size = 0
        return True

    def say(self, *said: dict[str, Any], log: str = "") -> dict[str, Any]:
        answer = self.post("report", first_seq=self.seq, events=list(said), log_offset=self.log_size, log=log)
        answer.raise_for_status()
        self.seq, self.log_size = answer.json()["next_seq"], answer.json()["log_size"]
        return dict(answer.json())

    def beat(self) -> str:
        return str(self.post("beat").json()["command"])

    def finish(self, outcome: str = "succeeded", **more: Any) -> None:
        self.post("finish", outcome=outcome, **more).raise_for_status()

    def post(self, verb: str, **body: Any) -> httpx2.Response:
        address = f"/api/v1/worker/runs/{self.run}/attempts/{self.attempt}/{verb}"
        # json.dumps escapes what UTF-8 cannot hold, as another client's library would
        content = json.dumps(body) if body else None
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        return self.http.post(address, content=content, headers=headers)


def trained(http: httpx2.Client, state: State, accuracies: tuple[float | None, ...] = (0.5, 0.9), **body: Any) -> int:
    """A run from its launch to its end, one epoch per accuracy; answers its id."""
    answer = http.post("/api/v1/runs", json={"recipe": SMALL} | body)
    answer.raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    hand.say(started(), *(epoch(number, accuracy) for number, accuracy in enumerate(accuracies, 1)), log="a line\n")
    hand.finish(exit_code=0)
    return hand.run


class Site:
    """The app on a real port, in a thread; can be stopped and started again on the same port and records."""

    def __init__(self, settings: Settings, timing: Timing = DEFAULT_TIMING) -> None:
        self._settings, self._timing = settings, timing
        self._port = 0
        self.start()

    def start(self) -> None:
        self.state = state_of(self._settings, self._timing)
        config = uvicorn.Config(
            create_app(self.state), "127.0.0.1", self._port, log_level="error", timeout_graceful_shutdown=3
        )
        self._server = Server(config, self.state.hub)
        self._thread = threading.Thread(target=self._server.run, name="site")
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        self._port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        self._server.handle_exit(signal.SIGTERM, None)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.state.records.close()


@contextmanager
def site_in(folder: Path, timing: Timing = DEFAULT_TIMING) -> Iterator[Site]:
    site = Site(settings_in(folder), timing)
    try:
        yield site
    finally:
        site.stop()


def until(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for what happens in another thread or process; answers what `holds` answered."""
    ends = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < ends, f"did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
