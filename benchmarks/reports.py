"""How many epoch reports a second the web process takes at full durability, and what a kill -9 under that load costs.

64 clients in a process of their own, each with one open connection, send an epoch each, wait for the answer and send
the next: with the worker token, over live leases, fenced by attempt. Every acknowledged epoch must be in the records.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.epochs import epoch_of
from benchmarks.figures import Figure, percentile
from benchmarks.pace import FULL, Pace
from tests.e2e.support.processes import ROOT, Site, until
from trainer.worker.client import Client

CLIENTS = 64
LOAD_S = 8.0
CONNECTED = "connected\n"  # what the clients say when the load begins
KILLED_AFTER = 3 / 8  # of the load's time


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    load_s = pace.amount(LOAD_S, 1.0)
    return _under_load(folder / "load", load_s) + _killed(folder / "killed", load_s)


def _under_load(folder: Path, load_s: float) -> list[Figure]:
    folder.mkdir()
    site = Site(folder)
    try:
        web = psutil.Process(site.serve().pid)
        held = _claimed(site)
        before = web.cpu_times()
        said = _Said.by(_start(site, held, load_s))
        spent = sum(web.cpu_times()[:2]) - sum(before[:2])
        missing = _missing(site.data_dir, said)
    finally:
        site.close()
    per_second = len(said.waits) / load_s
    p50, p99 = percentile(said.waits, 0.5) * 1e3, percentile(said.waits, 0.99) * 1e3
    return [
        Figure(f"epoch reports a second, {CLIENTS} clients, {load_s:g} s", f"{per_second:.0f}", "≥ 500"),
        Figure("  from sending to acknowledged", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "p99 ≤ 500 ms"),
        Figure("  the web process's own time for each", f"{spent / len(said.waits) * 1e3:.2f} ms", ""),
        Figure("  other answers", json.dumps(said.other) if said.other else "none", "none"),
        Figure(f"  missing or doubled of {len(said.waits)} acknowledged", str(missing), "0"),
    ]


def _killed(folder: Path, load_s: float) -> list[Figure]:
    folder.mkdir()
    site = Site(folder)
    try:
        web = site.serve()
        load = _start(site, _claimed(site), load_s)
        time.sleep(load_s * KILLED_AFTER)
        web.send_signal(signal.SIGKILL)
        web.wait()
        began = time.monotonic()
        site.start("app", "serve")
        until(lambda: _answers(site), 60, "it serves again", every=0.02)
        back = time.monotonic() - began
        said = _Said.by(load)
        missing = _missing(site.data_dir, said)
    finally:
        site.close()
    return [
        Figure("serves again after kill -9 under this load", f"{back:.1f} s", "≤ 5 s"),
        Figure(f"  missing or doubled of {len(said.waits)} acknowledged", str(missing), "0"),
    ]


def _claimed(site: Site) -> list[tuple[int, int]]:
    """(run, attempt) of as many runs as there are clients."""
    client = Client(site.url, _token(site))
    held = []
    for number in range(CLIENTS):
        site.launch(preset="quickstart", recipe={"epochs": 10_000})
        claim = client.claim(f"bench-{number}", "none", ["tensorflow"], 5)
        assert claim
        held.append((claim.run, claim.attempt))
    return held


def _start(site: Site, held: list[tuple[int, int]], seconds: float) -> subprocess.Popen[str]:
    """The clients, in a process of their own: what they take must not be counted as the server's."""
    asked = json.dumps({"port": site.port, "token": _token(site), "held": held, "seconds": seconds})
    command = [sys.executable, "-m", "benchmarks.reports", asked]
    load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert load.stdout and load.stdout.readline() == CONNECTED
    return load


def _answers(site: Site) -> bool:
    try:
        return bool(site.get("/readyz"))
    except OSError:
        return False


def _token(site: Site) -> str:
    return (site.data_dir / "worker-token").read_text().strip()


@dataclass
class _Said:
    """What the clients say at their end."""

    acknowledged: dict[int, int] = field(default_factory=dict)  # run -> its last acknowledged epoch
    waits: list[float] = field(default_factory=list)  # seconds from sending to acknowledged
    other: dict[str, int] = field(default_factory=dict)  # status -> how often it was the answer

    @classmethod
    def by(cls, load: subprocess.Popen[str]) -> _Said:
        output, _ = load.communicate(timeout=60)
        said = json.loads(output)
        return cls({int(run): epoch for run, epoch in said["acknowledged"].items()}, said["waits"], said["other"])


def _missing(data_dir: Path, said: _Said) -> int:
    """Acknowledged epochs that are not there exactly once, as a row and as an event."""
    with contextlib.closing(sqlite3.connect(f"file:{data_dir / 'pitwall.db'}?mode=ro", uri=True)) as records:
        rows = records.execute("SELECT run_id, epoch, count(*) FROM epochs GROUP BY 1, 2").fetchall()
        told = records.execute(
            "SELECT run_id, json_extract(data, '$.epoch'), count(*) FROM events WHERE kind = 'epoch' GROUP BY 1, 2"
        ).fetchall()
    there = [{(run, epoch): number for run, epoch, number in found} for found in (rows, told)]
    wanted = [(run, epoch) for run, last in said.acknowledged.items() for epoch in range(1, last + 1)]
    return sum(any(found.get(one) != 1 for found in there) for one in wanted)


class _Worker(asyncio.Protocol):
    """One client: sends an epoch, waits for the answer, sends the next, until the time is up or the line is cut."""

    def __init__(self, said: _Said, token: str, held: tuple[int, int]) -> None:
        self._said, self._run, self._ends = said, held[0], 0.0
        self._head = (
            f"POST /api/v1/worker/runs/{held[0]}/attempts/{held[1]}/report HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._seq, self._sent_at, self._got = 0, 0.0, b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._line = transport

    def begin(self, ends: float) -> None:
        """Send until `ends`, seconds of time.perf_counter."""
        self._ends = ends
        self._send()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        status = head.split(b" ", 2)[1].decode()
        if status == "200" and json.loads(body)["next_seq"] == self._seq + 1:
            self._said.waits.append(time.perf_counter() - self._sent_at)
            self._seq += 1
            self._said.acknowledged[self._run] = self._seq
        else:
            self._said.other[status] = self._said.other.get(status, 0) + 1
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def _send(self) -> None:
        if time.perf_counter() >= self._ends:
            self._line.close()
            return
        body = json.dumps({"first_seq": self._seq, "events": [epoch_of(self._seq + 1)], "log_offset": 0, "log": ""})
        self._got, self._sent_at = b"", time.perf_counter()
        self._line.write(f"{self._head}{len(body)}\r\n\r\n{body}".encode())


async def _send_all(asked: dict[str, Any]) -> None:
    said = _Said()
    workers = []
    for held in asked["held"]:
        worker = _Worker(said, asked["token"], tuple(held))
        await asyncio.get_running_loop().create_connection(lambda worker=worker: worker, "127.0.0.1", asked["port"])  # type: ignore[misc]
        workers.append(worker)
    print(CONNECTED, end="", flush=True)
    ends = time.perf_counter() + asked["seconds"]
    for worker in workers:
        worker.begin(ends)
    await asyncio.gather(*(worker.over for worker in workers))
    print(json.dumps(vars(said)))


if __name__ == "__main__":
    asyncio.run(_send_all(json.loads(sys.argv[1])))
