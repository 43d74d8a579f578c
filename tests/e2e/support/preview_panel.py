"""The panel of previews as somebody sees it in the browser: its curve and its grid of pictures."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.support.charts import handled
from tests.e2e.support.processes import Site, until


def drawn(page: Page) -> str:
    """The epochs, the peak and the end of the curve that is on the screen."""
    return str(page.locator("[data-curve]").evaluate("place => place.dataset.drawn ?? ''"))


def peak(page: Page) -> float:
    """Of the points that the chart holds."""
    return float(page.locator("[data-curve]").evaluate("place => Math.max(...place.data[0].y)"))


def grid_of(page: Page) -> list[str]:
    """What is on the screen of every picture in the grid, row by row."""
    return [str(one) for one in page.locator("table.stages img").evaluate_all("all => all.map(one => one.src)")]


def heads(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("table.stages thead th").all_text_contents()]


def opened(site: Site, page: Page, address: str) -> Page:
    """A page whose curve and pictures are there, in a document that must not be loaded again."""
    page.goto(site.url + address)
    expect(page.locator("table.stages tbody tr").first).to_be_visible()
    until(lambda: drawn(page), 20, "the curve is there")
    handled(page, "[data-curve]")
    page.evaluate("window.sameDocument = true")
    return page


def changed(before: Any, now: Any, why: str) -> Any:
    """Wait until `now()` answers something else than `before`."""
    until(lambda: now() != before, 20, why)
    return now()
