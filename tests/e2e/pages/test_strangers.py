"""A hundred hostile strings in every field that takes text: on every page they are text, drawn charts included."""

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
def crowd(site: Site) -> Iterator[dict[int, str]]:
    """A run of each string, in name, tag and notes; its log, its device and its failure say it, too."""
    site.serve()
    client = Client(site.url, (site.data_dir / "worker-token").read_text().strip())
    found: dict[int, str] = {}
    for number, text in enumerate(STRINGS):
        # all recipes differ, so that each is a row of the board
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
        found[run] = text
    client.close()
    yield found


def the_same(shown: str, text: str) -> bool:
    """Whether a page shows the text: browsers fold white space."""
    return re.sub(r"\s+", " ", text).strip() in re.sub(r"\s+", " ", shown)


def is_harmless(page: Page) -> None:
    """No script of theirs ran, and none of their elements is there."""
    assert page.evaluate("window.wasHacked ?? null") is None, page.url
    theirs = "iframe, base, math, svg script, [onerror], [onload], [onclick], [onfocus], [onmouseover], [ontoggle]"
    found = page.locator(f"{theirs}, img[src='x'], [href^='javascript:'], meta[http-equiv]").evaluate_all(
        "all => all.map((one) => one.outerHTML.slice(0, 200))"
    )
    assert not found, (page.url, found)


def drawn(page: Page, plot: str, of_still: str, of_plotly: str, count: int, crowd: dict[int, str]) -> None:
    """A chart's names are the crowd's, as it comes with the page and as Plotly draws it."""
    for names in (of_still, of_plotly):
        if names == of_plotly:
            handled(page, plot)
        expect(page.locator(names)).to_have_count(count)
        said = page.locator(names).evaluate_all("all => all.map((one) => one.textContent)")
        assert not [name for name in said if not any(the_same(name, text) for text in crowd.values())]
        is_harmless(page)


def test_a_hundred_hostile_strings_are_text_everywhere(site: Site, browser: Browser, crowd: dict[int, str]) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script("window.hacked = () => (window.wasHacked = true)")
    said: list[str] = []

    def refuse(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("pageerror", lambda error: said.append(str(error)))

    listed: dict[int, str] = {}
    page.goto(f"{site.url}/runs")
    while True:
        listed |= dict(page.locator("tr[data-run]").evaluate_all(ROWS))
        is_harmless(page)
        if not (older := page.get_by_role("link", name="Next page")).count():
            break
        page.goto(site.url + (older.get_attribute("href") or ""))
    assert set(listed) >= set(crowd)
    assert not {run: listed[run] for run, text in crowd.items() if not the_same(listed[run], text)}
    is_harmless(page)

    for run, text in crowd.items():
        page.goto(f"{site.url}/runs/{run}", wait_until="domcontentloaded")
        assert the_same(page.locator("h1").text_content() or "", text), text
        assert the_same(page.locator("[data-log]").text_content() or "", text), text
        assert page.locator("#about-notes").input_value().strip() == text.strip(), text
        is_harmless(page)
    some = list(crowd)[::10]
    for address in ("/", "/board?target=0.9", f"/compare?runs={','.join(map(str, some))}", f"/runs/new?from={some[0]}"):
        page.goto(site.url + address)
        page.wait_for_load_state()
        is_harmless(page)
        if address.startswith("/board"):
            drawn(page, "[data-figure] .plot", ".static-chart .up span", ".ytick text", 15, crowd)
        if address.startswith("/compare"):
            drawn(page, "[data-plot]", ".static-chart .legend span", ".legendtext", len(some), crowd)

    for text in STRINGS[::4]:  # what is asked for comes back
        page.goto(f"{site.url}/runs?{urlencode({'q': text})}")
        assert page.get_by_role("searchbox").input_value() == text
        is_harmless(page)
    assert said == []
    context.close()
