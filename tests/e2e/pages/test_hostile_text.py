"""A hundred hostile strings in every text field: every page and chart shows them as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.e2e.support.charts import handled
from tests.e2e.support.hostile import STRINGS
from tests.e2e.support.processes import Site
from trainer.protocol import Ending
from trainer.worker.client import Client
from trainer.worker.spool import Batch

ROWS = "all => all.map((row) => [Number(row.dataset.run), row.querySelector('a[href^=\"/runs/\"]').textContent])"
pytestmark = [pytest.mark.browser, pytest.mark.thorough, pytest.mark.timeout(600)]


@pytest.fixture
def hostile_runs(site: Site) -> Iterator[dict[int, str]]:
    """A run for each string, in its name, tag, notes, log, device and failure message."""
    site.serve()
    client = Client(site.url, (site.data_dir / "worker-token").read_text().strip())
    runs: dict[int, str] = {}
    for number, text in enumerate(STRINGS):
        # every recipe differs, so that each is a row of the board
        recipe = {"epochs": 1, "schedule": {"max_lr": 0.1 + number / 1000}}
        asked = {"preset": "quickstart", "name": text, "tags": [text[:40].strip()], "notes": text, "recipe": recipe}
        run = site.launch(**asked)
        claim = client.claim(f"worker {text[:60]}".strip(), "cpu", ["tensorflow"], 5)
        assert claim is not None
        assert claim.run == run
        started = {
            "event": "started", "train_images": 1497, "val_images": 300, "classes": [text] * 10, "steps_per_epoch": 11,
            "parameters": {"total": 3, "trainable": 2, "non_trainable": 1},
            "environment": {"device": text, "cpu": text, "keras": text, text: text},
        }  # fmt: skip
        epoch = {
            "event": "epoch", "epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0,
            "val_accuracy": 0.9 + number / 2000, "learning_rate": 0.1, "seconds": 2.0,
        }  # fmt: skip
        client.report(claim, Batch(0, [started, epoch], 0, text + "\n"))
        outcome = "failed" if number % 10 == 9 else "succeeded"
        client.finish(claim, Ending(outcome, 1 if outcome == "failed" else 0, None, text, text))  # type: ignore[arg-type]
        runs[run] = text
    client.close()
    yield runs


def matches(shown: str, text: str) -> bool:
    """Whether a page shows the text; browsers collapse white space."""
    return re.sub(r"\s+", " ", text).strip() in re.sub(r"\s+", " ", shown)


def assert_harmless(page: Page) -> None:
    """No hostile script ran, and no hostile element is on the page."""
    assert page.evaluate("window.wasHacked ?? null") is None, page.url
    theirs = "iframe, base, math, svg script, [onerror], [onload], [onclick], [onfocus], [onmouseover], [ontoggle]"
    found = page.locator(f"{theirs}, img[src='x'], [href^='javascript:'], meta[http-equiv]").evaluate_all(
        "all => all.map((one) => one.outerHTML.slice(0, 200))"
    )
    assert not found, (page.url, found)


def assert_chart_names(
    page: Page, plot: str, in_static_chart: str, in_plotly: str, count: int, hostile_runs: dict[int, str]
) -> None:
    """The names in a chart are those of the runs, in the static chart and as drawn by Plotly."""
    for names in (in_static_chart, in_plotly):
        if names == in_plotly:
            handled(page, plot)
        expect(page.locator(names)).to_have_count(count)
        shown = page.locator(names).evaluate_all("all => all.map((one) => one.textContent)")
        assert not [name for name in shown if not any(matches(name, text) for text in hostile_runs.values())]
        assert_harmless(page)


def test_a_hundred_hostile_strings_are_text_everywhere(
    site: Site, browser: Browser, hostile_runs: dict[int, str]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script("window.hacked = () => (window.wasHacked = true)")
    messages: list[str] = []

    def refuse(dialog: Dialog) -> None:
        messages.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("pageerror", lambda error: messages.append(str(error)))

    listed: dict[int, str] = {}
    page.goto(f"{site.url}/runs")
    while True:
        listed |= dict(page.locator("tr[data-run]").evaluate_all(ROWS))
        assert_harmless(page)
        if not (older := page.get_by_role("link", name="Next page")).count():
            break
        page.goto(site.url + (older.get_attribute("href") or ""))
    assert set(listed) >= set(hostile_runs)
    assert not {run: listed[run] for run, text in hostile_runs.items() if not matches(listed[run], text)}
    assert_harmless(page)

    for run, text in hostile_runs.items():
        page.goto(f"{site.url}/runs/{run}", wait_until="domcontentloaded")
        assert matches(page.locator("h1").text_content() or "", text), text
        assert matches(page.locator("[data-log]").text_content() or "", text), text
        assert page.locator("#about-notes").input_value().strip() == text.strip(), text
        assert_harmless(page)
    sample = list(hostile_runs)[::10]
    for address in (
        "/",
        "/board?target=0.9",
        f"/compare?runs={','.join(map(str, sample))}",
        f"/runs/new?from={sample[0]}",
    ):
        page.goto(site.url + address)
        page.wait_for_load_state()
        assert_harmless(page)
        if address.startswith("/board"):
            assert_chart_names(page, "[data-figure] .plot", ".static-chart .up span", ".ytick text", 15, hostile_runs)
        if address.startswith("/compare"):
            assert_chart_names(
                page, "[data-plot]", "[data-legend] tbody a", "table.sides th > a", len(sample), hostile_runs
            )
            names = page.evaluate("document.querySelector('[data-plot]').data.map((trace) => trace.name)")
            assert len(names) == len(sample)
            assert not any("<" in name for name in names), "Plotly reads them as markup where it shows one"

    for text in STRINGS[::4]:  # the search text comes back
        page.goto(f"{site.url}/runs?{urlencode({'q': text})}")
        assert page.get_by_role("searchbox").input_value() == text
        assert_harmless(page)
    assert messages == []
    context.close()
