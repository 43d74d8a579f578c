"""What somebody feels who keeps Pitwall open, over 20,000 runs.

The first paint of a run's page, a click on it, bytes over the wire, the longest task while ten live runs move a page.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import many_runs
from benchmarks.board import EPOCHS, RUNS
from benchmarks.board_pages import counting, report
from benchmarks.figures import Figure, median
from benchmarks.pace import FULL, Pace
from tests import chromium
from tests.e2e.conftest import FLAGS
from tests.e2e.support.processes import Site

LOADS = 5
LIVE, LIVE_EVERY_S, WATCHED_S = 10, 1, 20.0
SPY = """
window.seen = { lcp: 0, long: [], events: [] };
const watch = (type, note, more) =>
  new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true, ...more });
watch("largest-contentful-paint", (one) => (seen.lcp = one.startTime));
watch("longtask", (one) => seen.long.push(one.duration));
watch("event", (one) => seen.events.push(one.duration), { durationThreshold: 16 });
"""
TOUCHED = """
void (window.touched = new Promise((done) => document.addEventListener("pointerover", () => {
  const from = performance.now();
  const isDrawn = () => document.querySelector(".js-plotly-plot .plot-container");
  const look = () => (isDrawn() ? done(performance.now() - from) : requestAnimationFrame(look));
  look();
}, { once: true })));
"""


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    site = Site(folder)
    many_runs.make(site.data_dir, pace.amount(RUNS, 600), pace.amount(EPOCHS, 20))
    try:
        site.serve()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
            figures = _run_page(browser, site, pace) + _ten_live(browser, site, pace)
            browser.close()
    finally:
        site.close()
    return figures


def _run_page(browser: Browser, site: Site, pace: Pace) -> list[Figure]:
    """Of runs that have ended. `first`: with an empty cache; `later`: the same visitor's next run."""
    paints, touches, clicks, first, later, longest = [], [], [], [], [], []
    for number in range(pace.amount(LOADS, 1) + 1):
        page, counted = _opened(browser)
        page.goto(f"{site.url}/runs/{100 + number}")
        page.wait_for_timeout(1500)
        if number:
            seen = page.evaluate("seen")
            paints.append(seen["lcp"])
            longest.append(max(seen["long"], default=0.0))
            first.append(counted["bytes"])
            touches.append(_touched(page))
            clicks += _clicked(page)
        counted["bytes"] = 0
        page.goto(f"{site.url}/runs/{200 + number}")
        page.wait_for_timeout(1500)
        if number:
            later.append(counted["bytes"])
        page.context.close()
    what = f"a run of {EPOCHS} epochs among {RUNS:,}"
    return [
        Figure(f"{what}: largest paint", f"{median(paints):.0f} ms", "≤ 1,000 ms"),
        Figure("  first touch of a chart: until Plotly has replaced the static image", f"{median(touches):.0f} ms", ""),
        Figure("  a click on an axis, a smoothing: until the next frame", f"{median(clicks):.0f} ms", "≤ 100 ms"),
        Figure("  first load", f"{median(first) / 2**20:.2f} MiB", "≤ 1.6 MiB"),
        Figure("  a later page", f"{median(later) / 2**10:.0f} KiB", "≤ 100 KiB"),
        Figure("  longest task while it loads", f"{median(longest):.0f} ms", ""),
    ]


def _touched(page: Page) -> float:
    """Milliseconds."""
    place = page.locator(".plot").first
    place.scroll_into_view_if_needed()
    page.evaluate(TOUCHED)
    place.hover()
    return float(page.evaluate("window.touched"))


def _clicked(page: Page) -> list[float]:
    """The longest event of each of a few presses: from the press to the next frame."""
    found = []
    for press in (
        lambda: page.get_by_role("button", name="Step").click(),
        lambda: page.get_by_role("button", name="Training time").click(),
        lambda: page.get_by_role("button", name="Epoch", exact=True).click(),
        lambda: page.locator("[data-chart-tools] [type=range]").press("ArrowRight"),
    ):
        page.evaluate("seen.events.length = 0")
        press()
        page.wait_for_timeout(400)
        found.append(max(page.evaluate("seen.events"), default=16.0))
    return found


def _ten_live(browser: Browser, site: Site, pace: Pace) -> list[Figure]:
    ended = threading.Event()
    reporting = threading.Thread(target=report, args=(site, ended, LIVE, LIVE_EVERY_S))
    reporting.start()
    found = []
    try:
        time.sleep(5)
        for address in ("/", "/runs"):
            page, _ = _opened(browser)
            page.goto(site.url + address)
            page.wait_for_timeout(3000)
            page.evaluate("seen.long.length = 0")
            page.wait_for_timeout(pace.amount(WATCHED_S, 1.0) * 1e3)
            long = page.evaluate("seen.long")
            said = f"longest {max(long, default=0):.0f} ms, {len(long)} over 50 ms"
            found.append(Figure(f"  {LIVE} live runs, an epoch a second each, on {address}", said, "none > 200 ms"))
            page.context.close()
    finally:
        ended.set()
        reporting.join()
    return found


def _opened(browser: Browser) -> tuple[Page, dict[str, Any]]:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.add_init_script(SPY)
    return page, counting(page)
