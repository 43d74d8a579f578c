"""From page to page with a half-filled form: at any width, without JavaScript, to a launched run."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.preview_panel import changed, drawn, opened
from tests.e2e.support.processes import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def here(site: Site) -> Site:
    site.serve()
    return site


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("address", ["/previews?preset=quickstart", "/previews?preset=seed-readme", "/runs/new"])
def test_no_page_is_wider_than_its_window(here: Site, page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(here, page, address)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


def test_launching_from_the_previews_launches_what_is_seen(here: Site, page: Page) -> None:
    opened(here, page, "/previews?preset=quickstart")
    before = drawn(page)
    page.get_by_label("Peak learning rate").fill("0.2")
    changed(before, lambda: drawn(page), "the curve is another")
    page.get_by_role("button", name="Remove cutout").click()
    expect(page.get_by_role("button", name="Remove cutout")).to_have_count(0)

    page.get_by_role("button", name="Launch run").click()

    expect(page.locator("main .badge").first).to_have_text("Queued")
    recipe = here.run(1)["recipe"]
    assert recipe["schedule"]["max_lr"] == 0.2
    assert [one["op"] for one in recipe["augment"]] == ["pad_crop"]
    assert here.run(1)["preset"] == "quickstart"


def test_from_the_form_to_the_larger_page_and_back(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")
    page.get_by_label("Name").fill("typed")
    page.get_by_label("Peak learning rate").fill("0.25")

    page.get_by_role("button", name="Open larger previews").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Previews")
    expect(page.get_by_label("Peak learning rate")).to_have_value("0.25")
    expect(page.locator("table.stages tbody tr")).to_have_count(16)
    page.get_by_role("button", name="Back to the full form").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("New run")
    expect(page.get_by_label("Name")).to_have_value("typed")
    expect(page.get_by_label("Peak learning rate")).to_have_value("0.25")


def test_without_javascript_both_pages_show_numbers_and_buttons(here: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(f"{here.url}/runs/new?preset=seed-readme")
    expect(page.locator("[data-rate-summary]")).to_contain_text("960 steps, 48 per epoch")
    expect(page.get_by_text("Loading the first images")).to_be_hidden()
    page.get_by_role("button", name="Show images").click()
    expect(page.locator("table.stages tbody tr")).to_have_count(6)
    page.locator("[data-code=ends_at_peak]").get_by_role("button").click()
    expect(page.locator("[data-code=ends_at_peak]")).to_have_count(0)
    page.get_by_label("Schedule", exact=True).select_option("piecewise")
    page.get_by_role("group", name="Schedule").get_by_role("button", name="Show its settings").click()
    page.get_by_label("Knots").fill("0:0, 3:0.3, 20:0")

    page.get_by_role("button", name="Open larger previews").click()
    expect(page.get_by_label("Knots")).to_have_value("0:0, 3:0.3, 20:0")
    expect(page.locator("[data-rate-summary]")).to_contain_text("Peak 0.2996")
    expect(page.locator("table.stages tbody tr")).to_have_count(16)
    page.get_by_text("Show as table").click()
    expect(page.get_by_role("row", name="3 0.2").first).to_be_visible()
    page.get_by_role("button", name="New seed").click()
    expect(page.locator("table.stages tbody tr")).to_have_count(16)
    page.get_by_role("button", name="Launch run").click()

    expect(page.locator("main .badge").first).to_have_text("Queued")
    assert here.run(1)["recipe"]["schedule"]["knots"] == [[0, 0], [3, 0.3], [20, 0]]
    assert here.run(1)["recipe"]["seed"] == 1
    context.close()
