"""Repeat a recipe, watch its band grow, rank it, compare it, download the summary document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.charts import handled
from tests.e2e.support.processes import Site, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

EPOCHS, SEEDS, OTHERS = 4, 5, 2
NOTES = "## Finding\n\nThe **lower** rate is steadier.\n\n<script>document.title = 'taken over'</script>"


@pytest.mark.keras
def test_a_recipe_is_repeated_ranked_compared_and_summarized(
    site: Site, page: Page, browser: Browser, tmp_path: Path
) -> None:
    site.serve()
    site.work()

    page.goto(f"{site.url}/runs/new?preset=quickstart")
    page.get_by_label("Name").fill("Quickstart")
    page.get_by_label("Epochs", exact=True).fill(str(EPOCHS))
    page.get_by_text("Network, optimiser, loss and labels").click() if page.locator("details.rest").count() else None
    page.get_by_label("Repeats").fill(str(SEEDS))
    page.get_by_role("button", name="Launch run").click()
    expect(page).to_have_url(re.compile("/groups/[0-9a-f]{12}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Quickstart")
    group = page.url.rpartition("/")[2]
    page.evaluate("window.sameDocument = true")
    curves = "[...document.querySelectorAll('[data-plot]')].flatMap((plot) => plot.data ?? [])"
    expect(page.locator(".static-chart .band")).to_have_count(1, timeout=120_000)  # it grows without a reload
    handled(page, "[data-plot]")
    assert page.evaluate(f"{curves}.some((trace) => trace.meta.is_band)")
    expect(page.locator("[data-group-results]")).to_contain_text(f"{SEEDS} runs included", timeout=240_000)
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    until(lambda: page.evaluate(f"{curves}.length") == SEEDS + 2, 10, "a curve of each run, their mean and band")
    expect(page.locator("[data-group-results] tbody tr").first).to_contain_text(f"{SEEDS}")

    other = {"epochs": EPOCHS, "schedule": {"max_lr": 0.2}}
    launched = site.post("/api/v1/runs", {"preset": "quickstart", "name": "Four times the rate", "recipe": other,
                                          "repeats": OTHERS})  # fmt: skip
    second = launched["runs"][0]["recipe_hash"][:12]
    for run in launched["runs"]:
        until(lambda run=run: site.run(run["id"])["status"] == "succeeded", 120, "the other recipe's runs end")  # type: ignore[misc]

    page.get_by_role("link", name="Board").click()
    page.get_by_role("textbox", name="Target").fill("0.6")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("target=0.6"))
    rows = page.locator("table.board tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has=page.get_by_role("link", name="Quickstart"))).to_contain_text(f"of {SEEDS}")
    expect(rows.filter(has=page.get_by_role("link", name="Four times"))).to_contain_text(f"of {OTHERS}")
    expect(page.locator(".static-chart path.run")).to_have_count(1)
    handled(page, "[data-figure] .plot")
    expect(page.locator(".js-plotly-plot .point").first).to_be_visible()

    rows.filter(has=page.get_by_role("link", name="Quickstart")).get_by_role("link").click()
    page.get_by_role("link", name="Compare").click()
    page.get_by_placeholder("Groups").fill(second)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("table.sides tbody tr")).to_have_count(2)
    expect(page.locator("table.sides thead")).to_contain_text("schedule.max_lr")
    expect(page.locator("table.sides thead")).not_to_contain_text("seed")
    expect(page.locator(".static-chart .band")).to_have_count(2)
    handled(page, "[data-plot]")
    assert page.evaluate(f"{curves}.length") == 4, "two means with their bands"
    page.get_by_role("button", name="Step").click()
    until(lambda: page.evaluate(f"{curves}[1].x.at(-1)") == EPOCHS * 30, 10, "the axis counts steps")
    page.get_by_role("button", name="Epoch", exact=True).click()

    page.get_by_label("Title").fill("Rates on digits")
    page.get_by_label("Notes").fill(NOTES)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download summary").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "rates-on-digits.html"
    assert f'href="/groups/{group}' not in file.read_text(), "no link back to the site"
    assert_document_is_self_contained(browser, file)


def assert_document_is_self_contained(browser: Browser, file: Path) -> None:
    context = browser.new_context(offline=True)
    requests: list[str] = []
    errors: list[str] = []
    opened = context.new_page()
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(file.as_uri())
    expect(opened).to_have_title("Rates on digits")
    expect(opened.locator("h2").first).to_have_text("Finding")
    expect(opened.locator("strong").first).to_have_text("lower")
    expect(opened.get_by_text("<script>document.title")).to_be_visible()
    expect(opened.locator(".js-plotly-plot .plot-container")).to_have_count(3)
    expect(
        opened.get_by_text(f"{SEEDS} of {SEEDS} reached the target")
        .or_(opened.get_by_text("reached the target ("))
        .first
    ).to_be_visible()
    expect(opened.get_by_role("heading", name="How these numbers came about")).to_be_visible()
    told = opened.locator("body").inner_text()
    for answer in (
        f"On digits, 2 recipes with {SEEDS + OTHERS} runs were tried in all",
        "Not in this document: 0 recipes, 0 runs",
        "± is the standard deviation of the sample",
        "the published test split",
        "One comparison was made",
    ):
        assert answer in told, answer
    assert opened.locator("table").count() >= 8
    assert len(opened.pdf()) > 20_000  # it prints
    assert not errors and [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()
