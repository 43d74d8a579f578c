"""A worker on a stage: a thread that takes runs from a real server, whose children play a part (actor.py)."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import httpx2

from tests.app.support.cast import Site, launch, until
from trainer.worker.client import Client
from trainer.worker.timing import Timing
from trainer.worker.worker import Worker

ACTOR = Path(__file__).parents[1] / "support" / "actor.py"
QUICK = Timing(beat_s=0.1, patience_s=0.4, saving_patience_s=0.4, stacks_s=0.2)  # the same behaviour, sooner


class Cast:
    """A worker in a thread whose children play the given part."""

    def __init__(
        self,
        site: Site,
        folder: Path,
        *part: str,
        timing: Timing = QUICK,
        client: type[Client] = Client,
        command: tuple[str, ...] = (sys.executable, "-S", str(ACTOR)),
        **parts: Any,
    ) -> None:
        """`parts`: further ones of the Worker."""
        self.client = client(site.url, site.state.tokens.worker)
        self.worker = Worker(self.client, "cpu", folder, "ada", (*command, *part), timing=timing, **parts)
        self.thread = threading.Thread(target=self.worker.once)

    def start(self) -> Cast:
        self.thread.start()
        return self

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.client.close()


def played(site: Site, folder: Path, *part: str, epochs: int = 3) -> int:
    """A run from its launch to its end; answers its id."""
    run_id = launch(site.state, {"epochs": epochs})
    Cast(site, folder, *part).start().join()
    return run_id


def run_of(http: httpx2.Client, run_id: int) -> dict[str, Any]:
    return dict(http.get(f"/api/v1/runs/{run_id}").json())


def epochs_of(http: httpx2.Client, run_id: int) -> list[int]:
    return [row["epoch"] for row in http.get(f"/api/v1/runs/{run_id}/epochs").json()]


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"


def pid_of(http: httpx2.Client, run_id: int) -> int:
    """Of the run's child, as soon as it has spoken."""

    def said() -> Any:
        attempts = run_of(http, run_id)["attempts"]
        return attempts and attempts[-1]["started"]

    return int(until(said)["environment"]["pid"])


def files_of(http: httpx2.Client, run_id: int) -> dict[str, int]:
    return {one["name"]: one["epoch"] for one in http.get(f"/api/v1/runs/{run_id}/artifacts").json()}


def log_of(http: httpx2.Client, run_id: int) -> str:
    return http.get(f"/api/v1/runs/{run_id}/log").text


def starts(http: httpx2.Client, run_id: int) -> dict[str, Any]:
    """The run, once three of its epochs are there."""
    until(lambda: run_of(http, run_id)["last_epoch"] >= 3)
    return run_of(http, run_id)
