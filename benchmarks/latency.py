"""From an epoch's report to its point on the screen of a real browser, and from a submit to a running child."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.epochs import epoch_of
from benchmarks.figures import Figure, median, percentile
from benchmarks.pace import FULL, Pace
from tests import chromium
from tests.e2e.conftest import FLAGS
from tests.e2e.support.processes import Site, until
from trainer.worker.client import Client
from trainer.worker.spool import Batch

EPOCHS = 200
EVERY_S = 0.15
SUBMITS = 12

# when each epoch was on the screen: the frame after Plotly has drawn it
OBSERVE = """() => {
  window.seen = {};
  new MutationObserver(() => requestAnimationFrame(() => {
    const epoch = document.documentElement.dataset.drawnEpoch;
    window.seen[epoch] ??= Date.now();
  })).observe(document.documentElement, { attributes: true, attributeFilter: ["data-drawn-epoch"] });
}"""


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    drawn = _drawn(folder / "drawn", pace.amount(EPOCHS, 5))
    started = _started(folder / "started", pace.amount(SUBMITS, 1))
    return [
        Figure(
            f"epoch reported to drawn, {len(drawn)} epochs",
            f"median {median(drawn) * 1e3:.0f} ms, p95 {percentile(drawn, 0.95) * 1e3:.0f} ms",
            "p95 ≤ 500 ms",
        ),
        Figure(
            f"submit to child started, {len(started)} runs, idle worker",
            f"median {median(started) * 1e3:.0f} ms, worst {max(started) * 1e3:.0f} ms",
            "≤ 1 s",
        ),
    ]


def _drawn(folder: Path, epochs: int) -> list[float]:
    """Seconds from sending an epoch's report (before it is stored) to the frame that shows it."""
    folder.mkdir()
    site = Site(folder)
    try:
        site.serve()
        run_id = site.launch(preset="quickstart", recipe={"epochs": epochs})
        client = Client(site.url, (site.data_dir / "worker-token").read_text().strip())
        claim = client.claim("bench", "none", ["tensorflow"], 5)
        assert claim
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{site.url}/runs/{run_id}")
            page.wait_for_timeout(2000)
            page.evaluate(OBSERVE)
            sent = {}
            for epoch in range(1, epochs + 1):
                sent[epoch] = time.time()
                client.report(claim, Batch(epoch - 1, [epoch_of(epoch)], 0, ""))
                time.sleep(EVERY_S)
            until(lambda: page.evaluate("window.seen").get(str(epochs)), 20, "the last epoch is drawn")
            seen = page.evaluate("window.seen")
            browser.close()
        client.close()
        # two epochs that are drawn in one frame leave one mark: the earlier was on the screen by then, too
        marks = sorted((int(epoch), at / 1e3) for epoch, at in seen.items())
        return [min(at for shown, at in marks if shown >= epoch) - began for epoch, began in sent.items()]
    finally:
        site.close()


def _started(folder: Path, submits: int) -> list[float]:
    """Seconds from sending a submit to the child being there (looked for every 10 ms)."""
    folder.mkdir()
    site = Site(folder)
    try:
        site.serve()
        worker = psutil.Process(site.work("--no-warm").pid)
        until(lambda: site.get("/api/v1/workers"), 30, "the worker waits")
        waits = []
        for _ in range(submits):
            until(lambda: not worker.children() and site.get("/api/v1/workers")[0]["run"] is None, 60, "it is idle")
            time.sleep(0.5)
            began = time.time()
            run_id = site.launch(preset="quickstart")
            until(worker.children, 20, "a child starts", every=0.01)
            waits.append(time.time() - began)
            site.post(f"/api/v1/runs/{run_id}/cancel")
        return waits
    finally:
        site.close()
