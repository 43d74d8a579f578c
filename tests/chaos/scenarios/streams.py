"""A thousand open event streams and a stop; `kill -9` under load and serving again."""

from __future__ import annotations

import re
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from tests.chaos.stage import Row, Stage
from tests.chaos.world import World, light
from tests.e2e.support.processes import until

STREAMS = 1000
CLIENTS = 4
LOAD_S = 3.0
WITHIN_S = 5.0


def streams(stage: Stage) -> Iterator[Row]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    world = stage.world()
    world.serve()
    with ExitStack() as opened:
        for _ in range(STREAMS):
            opened.enter_context(_stream(world))
        until(lambda: _open(world) >= STREAMS, 30, f"{STREAMS} streams are open", every=0.2)
        number, seconds = _open(world), world.kill_app(signal.SIGTERM)
    yield Row(f"SIGTERM to the app with {number:.0f} open streams", f"ended after {seconds:.1f} s", "≤ 5 s",
              seconds <= WITHIN_S, is_time=True)  # fmt: skip

    world.serve()
    load, slowest = Load(world), 0.0
    rounds = 10 if stage.is_long else 2
    for _ in range(rounds):
        load.begin()
        threading.Event().wait(stage.random.uniform(LOAD_S / 2, LOAD_S))
        world.kill_app()
        slowest = max(slowest, world.serve())
        load.end()
    yield Row(f"`kill -9` of the app under load, {rounds} times: serving again", f"after at most {slowest:.1f} s",
              "≤ 5 s", slowest <= WITHIN_S, is_time=True)  # fmt: skip
    lost = load.lost()
    yield Row("… acknowledged launches and reports that are not there", f"{len(lost)} of "
              f"{len(load.launched)} and {len(load.reported)}", "none", not lost and bool(load.reported))  # fmt: skip


def _stream(world: World) -> socket.socket:
    opened = socket.create_connection((world.host, world.port), timeout=30)
    opened.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {world.host}:{world.port}\r\n\r\n".encode())
    return opened


def _open(world: World) -> float:
    found = re.search(rb"^pitwall_streams_open (\S+)", world.send("GET", "/metrics").body, re.MULTILINE)
    return float(found[1]) if found else 0


@dataclass
class Load:
    """Clients that launch, and a worker that reports, as fast as they can; what was acknowledged is written down."""

    world: World
    launched: list[int] = field(default_factory=list)
    reported: list[tuple[int, int]] = field(default_factory=list)  # run, epoch
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        self._over.clear()
        self._threads = [threading.Thread(target=self._launch) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._report))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def lost(self) -> list[object]:
        stored: dict[int, set[int]] = {}
        lost: list[object] = [
            run for run in self.launched if self.world.send("GET", f"/api/v1/runs/{run}").status != 200
        ]
        for run, epoch in self.reported:
            if run not in stored:
                stored[run] = set(self.world.epochs(run))
            if epoch not in stored[run]:
                lost.append((run, epoch))
        return lost

    def _launch(self) -> None:
        while not self._over.is_set():
            try:
                answer = self.world.send("POST", "/api/v1/runs", {"recipe": light(500)})
            except OSError:
                return  # killed
            if answer.status == 201:
                self.launched.append(answer.body["runs"][0]["id"])

    def _report(self) -> None:
        headers = self.world.worker_headers()
        claim = {"worker": "by hand", "device": "cpu", "backends": ["tensorflow"], "wait_s": 5}
        with suppress(OSError):
            claimed = self.world.send("POST", "/api/v1/worker/claim", claim, headers=headers).body
            path = f"/api/v1/worker/runs/{claimed['run']}/attempts/{claimed['attempt']}/report"
            for epoch in range(1, 500):
                if self._over.is_set():
                    return
                said = {"event": "epoch", "epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0,
                        "val_accuracy": 0.5, "learning_rate": 0.1, "seconds": 1.0}  # fmt: skip
                body = {"first_seq": epoch - 1, "events": [said], "log_offset": 0, "log": ""}
                if self.world.send("POST", path, body, headers=headers).status == 200:
                    self.reported.append((claimed["run"], epoch))
