"""A page keeps selection, scroll position and zoom while its run is updated. The test plays the worker."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages.test_keys_and_notifications import SPY
from tests.e2e.support.processes import ROOT, Site, until
from trainer.protocol import Ending
from trainer.worker.client import Claim, Client
from trainer.worker.spool import Batch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

DRAWN = "Number(document.documentElement.dataset.drawnEpoch)"


@dataclass
class FakeWorker:
    """A worker's side of one run, reported step by step."""

    client: Client
    claim: Claim
    seq: int = 0
    log_bytes: int = 0
    epochs: int = field(default=0)

    def epoch(self, count: int = 1, accuracy: float = 0.5) -> None:
        for _ in range(count):
            self.epochs += 1
            event = {
                "event": "epoch", "epoch": self.epochs, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0,
                "val_accuracy": accuracy, "learning_rate": 0.1, "seconds": 2.0,
            }  # fmt: skip
            self.report(event)

    def report(self, *events: dict) -> None:
        self.client.report(self.claim, Batch(self.seq, list(events), self.log_bytes, ""))
        self.seq += len(events)

    def start(self) -> None:
        said = {"event": "started", "train_images": 1497, "val_images": 300, "classes": list("0123456789")}
        self.report(said | {"steps_per_epoch": 30, "parameters": {}, "environment": {"device": "cpu"}})

    def finish(self) -> None:
        self.client.finish(self.claim, Ending("succeeded", 0))

    def write(self, text: str) -> None:
        self.client.report(self.claim, Batch(self.seq, [], self.log_bytes, text))
        self.log_bytes += len(text.encode())


@pytest.fixture
def worker(site: Site) -> Iterator[FakeWorker]:
    site.serve()
    site.launch(preset="quickstart", recipe={"epochs": 200})
    client = Client(site.url, (site.data_dir / "worker-token").read_text().strip())
    claim = client.claim("fake", "cpu", ["tensorflow"], 5)
    assert claim
    yield FakeWorker(client, claim)
    client.close()


def test_scroll_position_and_text_selection_stay(site: Site, page: Page, worker: FakeWorker) -> None:
    worker.epoch(60)
    worker.write("first line\nTraceback to copy\n")
    page.goto(f"{site.url}/runs/1")
    page.evaluate("document.querySelector('.scroll.tall').scrollTop = 500")
    page.evaluate(
        "() => { const log = document.querySelector('[data-log]').firstChild; const marked = document.createRange();"
        "marked.setStart(log, 11); marked.setEnd(log, 28); getSelection().addRange(marked); }"
    )

    worker.epoch()
    worker.write("one more line\n")
    expect(page.locator("[data-log]")).to_contain_text("one more line")
    expect(page.locator("table.epochs tbody tr")).to_have_count(61)

    assert page.evaluate("document.querySelector('.scroll.tall').scrollTop") == 500
    assert page.evaluate("getSelection().toString()") == "Traceback to copy"


def test_validation_does_not_reduce_the_progress(site: Site, page: Page, worker: FakeWorker) -> None:
    page.goto(f"{site.url}/runs/1")
    bar = "document.querySelector('[data-progress-of] progress').value"
    step = {"event": "step", "phase": "training", "epoch": 1, "step": 30, "steps_per_epoch": 30, "seconds": 3.0}
    worker.report(step)
    until(lambda: page.evaluate(bar) > 0, 10, "the bar moves")
    before = page.evaluate(bar)

    worker.report(step | {"phase": "evaluating", "step": 0})
    expect(page.locator("[data-phase]")).to_have_text("evaluating")

    assert page.evaluate(bar) >= before == pytest.approx(1 / 200)


def test_a_run_at_chance_ends_with_a_warning_and_without_a_tick(
    site: Site, browser: Browser, worker: FakeWorker
) -> None:
    context = browser.new_context(permissions=["notifications"])
    context.add_init_script(SPY)
    page = context.new_page()
    page.goto(f"{site.url}/runs/1")
    page.get_by_role("button", name="Notify me when it ends").click()
    worker.start()
    worker.epoch(2, accuracy=0.09)
    worker.finish()

    expect(page.locator("main .badge").first).to_have_text("Finished: no better than guessing")
    expect(page.get_by_role("status").filter(has_text="of 300 validation images are right")).to_be_visible()
    expect(page).to_have_title(re.compile("^! "))
    until(lambda: page.evaluate("window.shown.length") == 1, 10, "the notification")
    assert page.evaluate("window.shown[0][0]").endswith(" finished: at chance")
    page.goto(f"{site.url}/runs?where=concern%3Dat_chance")
    expect(page.locator("tr[data-run='1'] .badge")).to_have_attribute("data-concern", "")
    context.close()


def test_a_hidden_tab_catches_up_when_it_is_shown(site: Site, page: Page, worker: FakeWorker) -> None:
    page.goto(f"{site.url}/runs/1")
    worker.epoch()
    until(lambda: page.evaluate(DRAWN) == 1, 10, "the epoch is drawn")
    hide = (
        "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange')); }"
    )

    page.evaluate(hide, True)
    until(lambda: "pitwall_streams_open 0.0" in metrics(site), 10, "the stream is closed while hidden")
    worker.epoch(3)
    worker.write("written while nobody looked\n")
    page.evaluate(hide, False)

    until(lambda: page.evaluate(DRAWN) == 4, 10, "all epochs are drawn")
    expect(page.locator("[data-log]")).to_contain_text("written while nobody looked")


def test_an_old_run_that_moves_is_not_listed_as_a_new_one(site: Site, page: Page, worker: FakeWorker) -> None:
    for _ in range(55):
        site.launch(preset="quickstart")
    page.goto(f"{site.url}/runs")
    assert page.locator("tr[data-run='1']").count() == 0

    site.post("/api/v1/runs/1/cancel")
    newest = site.launch(preset="quickstart")
    expect(page.locator(f"tr[data-run='{newest}']")).to_be_visible()

    assert page.locator("tr[data-run='1']").count() == 0
    assert page.locator("tr[data-run]").first.get_attribute("data-run") == str(newest)


def metrics(site: Site) -> str:
    import urllib.request

    with urllib.request.urlopen(f"{site.url}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_truncated_response_counts_as_none(browser: Browser) -> None:
    class Cutting(BaseHTTPRequestHandler):
        """Serves a page, and a URL whose response ends too early, as that of an app that is killed."""

        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/cut":
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"the first half")
                return
            is_script = self.path == "/fetch_text.js"
            content = (ROOT / "static/js/fetch_text.js").read_bytes() if is_script else b"<!doctype html>"
            self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Cutting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    answered = page.evaluate(
        "import('/fetch_text.js').then((script) => "
        "Promise.all([script.fetchText('/cut'), script.fetchText('/fetch_text.js')]))"
    )
    page.close()
    server.shutdown()
    server.server_close()

    assert answered[0] is None
    assert answered[1]["ok"] and "export async function fetchText" in answered[1]["text"]
