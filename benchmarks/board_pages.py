"""What a browser pays for the list, the board and a comparison of many runs, and what an open list costs the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.epochs import epoch_of
from benchmarks.figures import Figure, median
from benchmarks.many_runs import STARTED
from benchmarks.pace import Pace
from tests import chromium
from tests.e2e.conftest import FLAGS
from tests.e2e.support.processes import Site
from trainer.worker.client import Client
from trainer.worker.spool import Batch

LOADS = 5
REPORTING = 50  # runs at once
EVERY_S = 10  # seconds between the epochs of each: five epochs a second together
BEAT_S = 2
WATCHED_S = 15.0
ROUNDS = 4
# (what, address, true when the last thing is there, bars)
PAGES = (
    ("the list of runs, 50 rows", "/runs", "document.querySelectorAll('tr[data-run]').length === 50",
     "≤ 1 s, ≤ 15 requests, ≤ 1.5 MiB"),
    ("the board with its chart", "/board", "document.querySelectorAll('.static-chart .run').length > 0", ""),
    ("100 runs compared, all drawn", "/compare?runs={hundred}&fold=0",
     "document.querySelectorAll('.static-chart path.line').length === 100", "≤ 2 s"),
)  # fmt: skip


Target = tuple[str, str, str, str]  # what, URL, true when the last thing is there, bars


def hundred(runs: int) -> str:
    """A hundred of these runs, evenly spaced."""
    return ",".join(map(str, range(1, runs + 1, runs // 100)))


def of(site: Site, runs: str) -> list[Target]:
    return [(what, site.url + address.format(hundred=runs), is_there, bars) for what, address, is_there, bars in PAGES]


def of_mlflow(url: str) -> Target:
    """Its list shows 100 runs; another 2 MB that it asks for later are not counted."""
    rows = "document.querySelectorAll('.ag-center-cols-container [role=row]').length === 100"
    return "MLflow's list of runs, 100 rows", f"{url}/#/experiments/1/runs", rows, ""


def painted(pages: Sequence[Target], pace: Pace) -> list[Figure]:
    """Each page with an empty cache, in turn: milliseconds until the frame after its last thing is there."""
    found: dict[str, list[tuple[float, int, int]]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        for turn in range(pace.amount(LOADS, 1) + 1):
            for what, url, is_there, _ in pages:
                measured = _loaded(browser, url, is_there)
                if turn:
                    found.setdefault(what, []).append(measured)
        browser.close()
    return [
        Figure(
            f"  page: {what}",
            f"{median([one[0] for one in found[what]]):.0f} ms, {found[what][-1][1]} requests, "
            f"{found[what][-1][2] / 2**20:.2f} MiB",
            bar,
        )
        for what, _, _, bar in pages
    ]


def _loaded(browser: Browser, url: str, is_there: str) -> tuple[float, int, int]:
    """(milliseconds, requests, bytes that came over the wire)."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    counted = counting(page)
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(f"() => {is_there}", polling=20)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    taken = (time.perf_counter() - began) * 1e3
    page.wait_for_load_state()
    page.wait_for_timeout(300)
    page.context.close()
    return taken, counted["requests"], counted["bytes"]


def counting(page: Page) -> dict[str, int]:
    counted = {"requests": 0, "bytes": 0}

    def sent(_: dict[str, Any]) -> None:
        counted["requests"] += 1

    def came(event: dict[str, Any]) -> None:
        counted["bytes"] += int(event["encodedDataLength"])

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.requestWillBeSent", sent)
    session.on("Network.loadingFinished", came)
    return counted


def open_list(site: Site, pid: int, pace: Pace) -> list[Figure]:
    """The web process's time with and without one open list, in turn, while the runs report."""
    web, reporters = psutil.Process(pid), pace.amount(REPORTING, 3)
    ended = threading.Event()
    reporting = threading.Thread(target=report, args=(site, ended, reporters))
    shares: dict[bool, list[float]] = {True: [], False: []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        reporting.start()
        try:
            time.sleep(pace.amount(15.0, 2.0))  # all of them are under way
            for _ in range(pace.amount(ROUNDS, 1)):
                for is_open in (False, True):
                    context = browser.new_context(viewport={"width": 1280, "height": 900})
                    if is_open:
                        context.new_page().goto(f"{site.url}/runs")
                        time.sleep(2)
                    before, began = sum(web.cpu_times()[:2]), time.monotonic()
                    time.sleep(pace.amount(WATCHED_S, 1.0))
                    spent, lasted = sum(web.cpu_times()[:2]) - before, time.monotonic() - began
                    shares[is_open].append(spent / lasted)
                    context.close()
        finally:
            ended.set()
            reporting.join()
            browser.close()
    more = median(shares[True]) - median(shares[False])
    said = f"{more * 100:.1f} % of a core ({median(shares[False]) * 100:.1f} % without)"
    return [Figure(f"an open list while {reporters} runs report, {reporters / EVERY_S:g} epochs/s", said, "≤ 1 %")]


def report(site: Site, ended: threading.Event, runs: int, every_s: int = EVERY_S) -> None:
    """As workers do: every run starts, is beaten for every 2 s, and ends an epoch every `every_s`."""
    client = Client(site.url, (site.data_dir / "worker-token").read_text().strip())
    held = []
    for number in range(runs):
        site.launch(preset="quickstart", recipe={"epochs": 10_000})
        claim = client.claim(f"bench-{number}", "none", ["tensorflow"], 5)
        assert claim
        client.report(claim, Batch(0, [STARTED | {"environment": {"device": "cpu"}}], 0, ""))
        held.append(claim)
        for earlier in held:
            client.beat(earlier)
    began, second = time.monotonic(), 0
    while not ended.is_set():
        for number, claim in enumerate(held):
            if ended.wait(max(0.0, began + second + number / runs - time.monotonic())):
                break
            if second % BEAT_S == 0:
                client.beat(claim)
            if (second + number) % every_s == 0:
                epoch = second // every_s + 1
                client.report(claim, Batch(epoch, [epoch_of(epoch)], 0, ""))
        second += 1
    client.close()
