"""Many runs compared in a browser: seeds are folded, and thirty lines can be read."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks import many_runs
from tests.e2e.support.charts import handled
from tests.e2e.support.processes import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

MADE, EPOCHS = 1600, 12  # runs 1, 501 and 1501 are seeds of a recipe on the same hardware
OPACITY = "getComputedStyle(document.querySelector('.plot .trace-line-{line} > .lines')).opacity"
POINT = """(() => {
  const plot = document.querySelector("[data-plot]"), { xaxis, yaxis } = plot._fullLayout, { x, y } = plot.data[7];
  return [xaxis.l2p(x[5]), yaxis.l2p(y[5])];
})()"""  # px from the corner of the drawing
SHOWN = "getComputedStyle(document.querySelector('.static-chart [data-line=\"{line}\"].line')).display !== 'none'"
RANGE = "document.querySelector('[data-plot]').layout.yaxis.range"


@pytest.fixture
def made(site: Site) -> Site:
    many_runs.make(site.data_dir, MADE, EPOCHS)
    site.serve()
    return site


def looks(page: Page) -> dict[str, str | None]:
    """Colour and dash of each line in the legend."""
    rows = page.locator("[data-legend] tbody tr")
    return {
        row.get_by_role("link").inner_text(): row.locator(".line-sample").get_attribute("style") for row in rows.all()
    }


def test_seeds_are_one_line_until_each_run_is_asked_for(made: Site, page: Page) -> None:
    page.goto(f"{made.url}/compare?runs=1,501,1501,4,1504")
    expect(page.get_by_text("2 recipes, 5 runs")).to_be_visible()
    expect(page.locator("table.sides tbody tr")).to_have_count(2)
    expect(page.locator(".static-chart .band")).to_have_count(2)
    page.get_by_role("link", name="#501", exact=True).click()
    expect(page).to_have_url(re.compile("/runs/501$"))
    page.go_back()

    page.get_by_role("link", name="Show each run").click()
    expect(page.locator("table.sides tbody tr")).to_have_count(5)
    expect(page.locator(".static-chart .band")).to_have_count(0)
    page.get_by_role("link", name="Fold seeds").click()
    expect(page.locator("table.sides tbody tr")).to_have_count(2)


def test_a_recipe_keeps_its_look_when_a_run_is_added(made: Site, page: Page) -> None:
    page.goto(f"{made.url}/compare?runs=1,501,7,8")
    before = looks(page)
    assert len(set(before.values())) == 3
    page.get_by_placeholder("Runs: 7, 12").fill("12")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("[data-legend] tbody tr")).to_have_count(4)
    after = looks(page)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 4


def test_pointing_at_a_row_highlights_its_line_and_pointing_at_a_line_its_row(made: Site, page: Page) -> None:
    runs = ",".join(str(run) for run in range(1, 31))
    page.goto(f"{made.url}/compare?runs={runs}")
    expect(page.get_by_text("30 recipes, 30 runs")).to_be_visible()
    assert len(set(looks(page).values())) == 30
    rows = page.locator("[data-legend] tbody tr")
    rows.nth(3).hover()
    expect(page.locator("[data-plot] path[data-line]:not([data-faded])")).to_have_count(1)  # the static chart
    expect(page.locator("table.sides tr[data-highlighted]")).to_have_count(1)

    page.mouse.move(2, 2)
    handled(page, "[data-plot]")
    page.mouse.move(2, 2)
    rows.nth(5).hover()
    assert (page.evaluate(OPACITY.format(line=5)), page.evaluate(OPACITY.format(line=6))) == ("1", "0.15")
    rows.nth(6).get_by_role("button").focus()
    page.mouse.move(2, 2)
    assert (page.evaluate(OPACITY.format(line=5)), page.evaluate(OPACITY.format(line=6))) == ("0.15", "1")
    page.get_by_role("heading", name="Compare").click()  # the focus leaves the row

    box = page.locator("[data-plot] .nsewdrag").bounding_box()
    assert box
    right, down = page.evaluate(POINT)
    page.mouse.move(box["x"] + right + 30, box["y"] + down)
    page.mouse.move(box["x"] + right, box["y"] + down, steps=8)
    expect(page.locator("[data-legend] tr[data-highlighted]")).to_have_count(1)


def test_a_line_is_hidden_and_shown_again(made: Site, page: Page) -> None:
    page.goto(f"{made.url}/compare?runs=1,501,2,3")
    eye = page.get_by_role("button", name="Show the line of run 2")
    expect(eye).to_have_attribute("aria-pressed", "true")
    eye.click()
    expect(eye).to_have_attribute("aria-pressed", "false")
    assert not page.evaluate(SHOWN.format(line=1)) and page.evaluate(SHOWN.format(line=2))
    page.mouse.move(2, 2)
    handled(page, "[data-plot]")
    expect(page.locator(".trace-line-1")).to_have_count(0)
    expect(page.locator(".trace-line-2")).to_have_count(1)
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".trace-line-1")).to_have_count(1)
    page.get_by_role("button", name="Hide all").click()
    expect(page.locator("[data-plot] .scatterlayer .trace")).to_have_count(0)


def test_the_vertical_range_is_near_the_best_and_stays_in_the_address(made: Site, page: Page) -> None:
    page.goto(f"{made.url}/compare?runs=1,501,2,3")
    page.get_by_label("Vertical range").select_option("best")
    expect(page.locator("[data-plot].js-plotly-plot .plot-container")).to_be_visible()
    low, high = page.evaluate(RANGE)
    assert 0.035 < high - low < 0.041
    expect(page).to_have_url(re.compile("y=best"))
    page.reload()
    expect(page.get_by_label("Vertical range")).to_have_value("best")
    expect(page.locator(".static-chart svg.clipped")).to_be_visible()
    page.get_by_label("Vertical range").select_option("all")
    expect(page.locator("[data-plot].js-plotly-plot .plot-container")).to_be_visible()
    low, high = page.evaluate(RANGE)
    assert high - low > 0.2
    page.get_by_label("Vertical range").select_option("end")
    page.wait_for_function(f"{RANGE}[1] - {RANGE}[0] < 0.15")
    assert page.evaluate(RANGE.replace("yaxis", "xaxis")) == pytest.approx([EPOCHS * 2 / 3, EPOCHS])


def test_without_javascript_the_legend_is_a_plain_table(made: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{made.url}/compare?runs=1,501,2")
    expect(page.locator("[data-legend] tbody tr")).to_have_count(2)
    expect(page.locator("[data-eye]").first).to_be_hidden()
    page.get_by_label("Vertical range").select_option("end")
    page.locator("form[data-auto-submit]").first.get_by_role("button", name="Show").click()
    expect(page.locator(".static-chart svg.clipped")).to_be_visible()
    page.get_by_role("link", name="Show each run").click()
    expect(page.locator("[data-legend] tbody tr")).to_have_count(3)
    context.close()
