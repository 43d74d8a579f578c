"""Keyboard shortcuts, light and dark themes, and browser notifications when a watched run ends."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.charts import handled
from tests.e2e.support.processes import Site, until

pytestmark = pytest.mark.browser

SPY = """
window.shown = [];
window.Notification = class extends Notification {
  constructor(title, options) { super(title, options); window.shown.push([title, options.tag, options.body]); }
};
"""


def _arrived(page: Page, address: str | re.Pattern[str]) -> None:
    """The URL changes before the page's scripts run: a key pressed in between does nothing."""
    expect(page).to_have_url(address)
    page.wait_for_load_state()


def test_keys_navigate_search_select_and_compare(site: Site, page: Page) -> None:
    site.serve()
    first, second, third = (site.launch(preset="quickstart", name=f"run {name}") for name in "abc")
    page.goto(site.url)
    page.keyboard.press("g")
    page.keyboard.press("r")
    _arrived(page, f"{site.url}/runs")

    page.keyboard.press("j")
    expect(page.get_by_role("link", name="run c")).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="run c")).to_be_focused()
    page.keyboard.press("c")
    _arrived(page, f"{site.url}/compare?runs={third},{second}")

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("run a?n")  # typed, not pressed
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("searchbox").fill("run a")
    page.keyboard.press("Enter")
    _arrived(page, re.compile(r"/runs\?.*q=run"))
    expect(page.locator("tr[data-run]")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    _arrived(page, f"{site.url}/runs/{first}")
    page.keyboard.press("n")
    _arrived(page, re.compile("/runs/new"))


def test_the_keys_dialog_lists_them_and_can_switch_them_off(site: Site, page: Page) -> None:
    site.serve()
    page.goto(site.url)
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(keys).to_contain_text("new run")
    keys.get_by_label("Enable single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("n")
    page.reload()
    page.keyboard.press("?")
    expect(keys).to_be_hidden()
    expect(page).to_have_url(f"{site.url}/")

    page.get_by_role("button", name="Shortcuts").click()
    keys.get_by_label("Enable single-key shortcuts").check()
    keys.get_by_role("button", name="Close").click()
    page.keyboard.press("n")
    _arrived(page, re.compile("/runs/new"))


def test_the_dark_theme_is_kept_and_applies_to_charts(site: Site, page: Page) -> None:
    site.serve()
    page.emulate_media(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    page.goto(f"{site.url}/style")
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(f"{site.url}/style")
    dark = page.evaluate(background)
    assert dark != light
    page.goto(f"{site.url}/runs/new")
    assert page.evaluate(background) == dark
    handled(page, "[data-curve]")
    font = "document.querySelector('.js-plotly-plot').layout.font.color"
    dark_font = page.evaluate(font)

    page.get_by_role("button", name="System").click()
    expect(page.locator("body")).to_have_css("background-color", light)
    handled(page, "[data-curve]")
    assert page.evaluate(font) != dark_font, "the chart is light as well"


def test_a_watched_run_is_notified_once_even_on_another_page(site: Site, browser: Browser) -> None:
    site.serve()
    run = site.launch(preset="quickstart", name="the one")
    context = browser.new_context(permissions=["notifications"])
    context.add_init_script(SPY)
    page = context.new_page()
    page.goto(f"{site.url}/runs/{run}")
    page.get_by_role("button", name="Notify me when it ends").click()
    expect(page.get_by_role("button", name="You will be notified")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="You will be notified")).to_be_visible()

    page.goto(f"{site.url}/runs")
    expect(page.locator(f"tr[data-run='{run}']")).to_be_visible()
    site.post(f"/api/v1/runs/{run}/cancel", {})
    until(lambda: page.evaluate("window.shown.length") == 1, 10, "the notification")
    title, tag, body = page.evaluate("window.shown[0]")
    assert title == "the one cancelled"
    assert tag == f"pitwall-run-{run}"
    assert body.startswith("0 of ")
    assert page.evaluate("localStorage.getItem('pitwall.watched')") == "[]"
    context.close()


def test_the_title_of_a_run_page_shows_that_it_ended(site: Site, page: Page) -> None:
    site.serve()
    run = site.launch(preset="quickstart", name="the one")
    page.goto(f"{site.url}/runs/{run}")
    expect(page).to_have_title("the one · Pitwall")
    site.post(f"/api/v1/runs/{run}/cancel", {})
    expect(page).to_have_title("– the one · Pitwall")
