"""The curve and the pictures change while somebody types; a wrong value leaves the last ones standing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.preview_panel import changed, drawn, grid_of, heads, opened, peak
from tests.e2e.support.processes import Site, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PAGES = ["/runs/new", "/previews"]


@pytest.fixture
def here(site: Site) -> Site:
    site.serve()
    return site


@pytest.mark.parametrize("address", PAGES)
def test_the_curve_and_the_grid_change_while_a_field_is_edited(here: Site, page: Page, address: str) -> None:
    opened(here, page, f"{address}?preset=quickstart")
    curve, grid = drawn(page), grid_of(page)
    assert peak(page) == pytest.approx(0.05, rel=1e-2)

    page.get_by_label("Peak learning rate").fill("0.3")
    curve = changed(curve, lambda: drawn(page), "the curve is another")
    assert peak(page) == pytest.approx(0.3, rel=1e-2)
    expect(page.locator("[data-rate-summary]")).to_contain_text("Peak 0.299")
    assert grid_of(page) == grid  # the rate changes no picture

    page.get_by_label("Epochs", exact=True).fill("40")
    changed(curve, lambda: drawn(page), "the run is longer")
    assert drawn(page).startswith("40 ")
    assert max(page.locator("[data-curve]").evaluate("place => place.data[0].x")) == pytest.approx(40)

    if address == "/runs/new":
        page.get_by_label("Seed", exact=True).fill("5")
    else:
        page.get_by_label("Padding").fill("8")
    grid = changed(grid, lambda: grid_of(page), "the pictures are others")

    page.get_by_role("button", name="Remove cutout").click()
    changed(grid, lambda: grid_of(page), "there is one operation less")
    until(lambda: "cutout" not in heads(page), 20, "its column is gone")
    assert heads(page)[:3] == ["Label", "As stored", "pad crop"]
    expect(page.locator("figure.ranges")).to_have_count(0)
    assert page.evaluate("window.sameDocument"), "the page was loaded again"


def test_what_is_shown_is_what_the_api_says(here: Site, page: Page) -> None:
    opened(here, page, "/previews?preset=quickstart")
    before = drawn(page)
    page.get_by_label("Peak learning rate").fill("0.123")
    changed(before, lambda: drawn(page), "the curve is drawn anew")

    asked = {"preset": "quickstart", "schedule": {"max_lr": 0.123}}
    rates = here.post("/api/v1/previews/schedule", asked)["learning_rate"]
    first = here.post("/api/v1/previews/augmentation", {"preset": "quickstart", "count": 1})["pictures"][0]

    assert page.locator("[data-curve]").evaluate("place => place.data[0].y") == rates
    row = page.locator("table.stages tbody tr").first
    shown = row.locator("img").evaluate_all("all => all.map(one => one.src)")
    stages = [stage["png"] for stage in first["stages"] if stage["name"] != "normalise"]
    assert shown == stages + [stage["png"] for stage in first["later"]]
    assert row.get_attribute("data-picture") == str(first["number"])


def test_a_fix_is_a_click_and_its_warning_goes_away(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=seed-readme")
    warning = page.locator("[data-code=ends_at_peak]")
    expect(warning).to_contain_text("before the run ends")
    before = drawn(page)

    warning.get_by_role("button").click()

    expect(warning).to_have_count(0)
    expect(page.locator("#schedule-step_epochs")).to_have_value("4.9152")
    changed(before, lambda: drawn(page), "the curve ends elsewhere")
    page.locator("[data-code=mixup_halves_steps]").get_by_role("button", name="Mix within the batch").click()
    expect(page.locator("[data-code=mixup_halves_steps]")).to_have_count(0)
    expect(page.get_by_label("Pairs")).to_have_value("permute")
    assert page.evaluate("window.sameDocument")


def test_a_wrong_value_leaves_the_old_curve_greyed_and_names_the_field(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")
    panel = page.locator("[data-preview]")
    curve, grid = drawn(page), grid_of(page)

    page.get_by_label("Peak learning rate").fill("-3")
    expect(panel.locator("[data-invalid]")).to_contain_text("schedule.max_lr must be at least 0")
    expect(panel).to_have_attribute("data-stale", "")
    assert (drawn(page), grid_of(page)) == (curve, grid)
    greyed = page.locator("[data-part=rate]").evaluate(
        "part => [part, ...part.querySelectorAll('*')].some(one => Number(getComputedStyle(one).opacity) < 1)"
    )
    assert greyed
    panel.get_by_role("link", name="schedule.max_lr").click()
    expect(page.get_by_label("Peak learning rate")).to_be_in_viewport()

    page.get_by_label("Peak learning rate").fill("0.2")
    expect(panel.locator("[data-invalid]")).to_have_count(0)
    assert panel.get_attribute("data-stale") is None
    changed(curve, lambda: drawn(page), "the new curve is there")
    assert peak(page) == pytest.approx(0.2, rel=1e-2)


@pytest.mark.parametrize("address", PAGES)
def test_new_seed_shows_other_pictures(here: Site, page: Page, address: str) -> None:
    opened(here, page, f"{address}?preset=quickstart")
    before, rows = grid_of(page), page.locator("table.stages tbody tr").count()

    page.get_by_role("button", name="New seed").click()

    after = changed(before, lambda: grid_of(page), "the pictures are others")
    assert len(after) == len(before)
    assert page.locator("table.stages tbody tr").count() == rows == {"/runs/new": 6, "/previews": 16}[address]
    expect(page.locator("#seed")).to_have_value("1")
    assert page.evaluate("window.sameDocument")


@pytest.mark.parametrize("address", PAGES)
def test_mixup_is_added_and_left_out(here: Site, page: Page, address: str) -> None:
    opened(here, page, f"{address}?preset=quickstart")

    page.get_by_role("button", name="Add mixup").click()
    expect(page.get_by_label("Alpha", exact=True)).to_have_value("0.2")
    until(lambda: "mixup" in heads(page), 20, "the grid shows mixed pictures")
    expect(page.locator("table.stages tbody")).to_contain_text("0.")  # shares of two labels

    page.get_by_role("group", name="Mixup").get_by_role("button", name="Remove").click()
    expect(page.get_by_label("Alpha", exact=True)).to_have_count(0)
    until(lambda: "mixup" not in heads(page), 20, "nothing is mixed")
    assert page.evaluate("window.sameDocument")


def test_another_kind_of_schedule_brings_its_knobs_and_its_curve(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")
    seen = [drawn(page)]

    page.get_by_label("Schedule", exact=True).select_option("piecewise")
    expect(page.get_by_label("Knots")).to_have_value("0:0, 5:0.4, 24:0")
    seen.append(changed(seen[-1], lambda: drawn(page), "the curve has knots"))
    page.get_by_label("Knots").fill("0:0.01, 2:0.7, 16:0")
    seen.append(changed(seen[-1], lambda: drawn(page), "the knots are others"))
    assert peak(page) == pytest.approx(0.7, rel=1e-2)
    page.get_by_label("Knots").fill("0:0.01, 2:0.7, 1:0")
    expect(page.locator("[data-invalid]")).to_contain_text("must come after the knot at epoch 2")
    page.get_by_label("Schedule", exact=True).select_option("constant")
    expect(page.get_by_role("textbox", name="Learning rate")).to_have_value("0.1")
    seen.append(changed(seen[-1], lambda: drawn(page), "the curve is a line"))

    assert peak(page) == pytest.approx(0.1)
    expect(page.locator("[data-invalid]")).to_have_count(0)
    assert len(set(seen)) == len(seen)


def test_a_data_set_that_is_not_here_is_shown_on_digits(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")

    page.get_by_label("Data set").select_option("cifar10")

    expect(page.locator("[data-part=images]")).to_contain_text("Images of digits are shown instead.")
    expect(page.locator("[data-rate-summary]")).to_contain_text("16,000 steps, 1,000 per epoch")


def test_fast_typing_ends_with_what_was_typed_last(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")
    field = page.get_by_label("Peak learning rate")

    for number in range(1, 30):
        field.fill(f"0.{100 + number}")
        page.wait_for_timeout(40 if number % 5 else 300)

    until(lambda: "peak 0.1286" in drawn(page), 20, "the last rate is drawn")
    page.wait_for_timeout(500)
    until(lambda: page.locator("[data-preview]").get_attribute("aria-busy") is None, 20, "nothing is asked any more")
    assert "peak 0.1286" in drawn(page)


def test_the_zoom_stays_while_a_field_is_edited(here: Site, page: Page) -> None:
    opened(here, page, "/runs/new?preset=quickstart")
    chart = page.locator("[data-curve]")
    plot = chart.locator(".nsewdrag").first.bounding_box()
    assert plot is not None
    middle = plot["y"] + plot["height"] / 2
    page.mouse.move(plot["x"] + plot["width"] / 4, middle)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] / 2, middle, steps=5)
    page.mouse.up()
    zoomed = chart.evaluate("place => place.layout.xaxis.range")
    assert zoomed == [pytest.approx(4, abs=0.3), pytest.approx(8, abs=0.3)]
    before = drawn(page)

    page.get_by_label("Peak learning rate").fill("0.2")

    changed(before, lambda: drawn(page), "the curve is another")
    assert chart.evaluate("place => place.layout.xaxis.range") == zoomed


def test_the_page_as_it_stands_in_the_documents(here: Site, browser: Browser, pictures: Path) -> None:
    """On digits: no picture of another data set is shown in the documents."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    opened(here, page, "/previews?preset=seed-readme-fixed")
    before = page.locator("[data-rate-summary]").inner_text()
    page.get_by_label("Data set").select_option("digits")
    page.locator("#batch_size").fill("50")
    changed(before, lambda: page.locator("[data-rate-summary]").inner_text(), "the curve is that of digits")
    expect(page.locator("[data-rate-summary]")).to_contain_text("280 steps, 14 per epoch")
    expect(page.locator("[data-part=images]")).not_to_contain_text("shown instead")
    page.evaluate("document.getElementById('recipe').scrollTo(0, 0), scrollTo(0, 0)")

    page.screenshot(path=pictures / "previews.png", full_page=True)

    assert (pictures / "previews.png").stat().st_size > 50_000
    context.close()
