"""The list of runs in a browser: its query stays in the URL, and bulk actions apply to selected runs."""

from __future__ import annotations

import csv
import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.support.processes import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def rates(page: Page, rows: int) -> list[str]:
    """The column of a page with that many `rows`."""
    expect(page.locator("table.runs thead")).to_contain_text("Peak learning rate ↓")
    expect(page.locator("table.runs tbody tr")).to_have_count(rows)
    at = page.locator("table.runs thead th").all_inner_texts().index("Peak learning rate ↓")
    return [row.locator("td, th").nth(at).inner_text() for row in page.locator("table.runs tbody tr").all()]


def test_columns_order_and_conditions_are_in_the_url(site: Site, page: Page) -> None:
    site.serve()
    for number, rate in enumerate((0.1, 0.4, 0.2)):
        site.launch(preset="quickstart", name=f"run {number}", recipe={"schedule": {"max_lr": rate}})
    page.goto(f"{site.url}/runs")

    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Peak learning rate").check()
    page.get_by_label("Training time").uncheck()
    page.get_by_role("button", name="Apply columns").click()
    page.get_by_role("link", name="Peak learning rate").click()
    expect(page).to_have_url(re.compile(r"sort=-recipe\.schedule\.max_lr"))
    assert rates(page, 3) == ["0.4", "0.2", "0.1"]
    expect(page.locator("table.runs thead")).not_to_contain_text("Training time")

    page.get_by_label("Condition").fill("recipe.schedule.max_lr>=0.2")
    page.get_by_role("button", name="Apply", exact=True).click()
    assert rates(page, 2) == ["0.4", "0.2"]
    again = page.url
    page.goto(f"{site.url}/")
    page.goto(again)
    assert rates(page, 2) == ["0.4", "0.2"]

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    with download.value.path().open() as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe.schedule.max_lr"] for row in rows] == ["0.4", "0.2"]
    page.get_by_role("link", name="Remove condition recipe.schedule.max_lr>=0.2").click()
    assert rates(page, 3) == ["0.4", "0.2", "0.1"]


def test_selected_runs_are_cancelled_tagged_and_compared(site: Site, page: Page) -> None:
    site.serve()
    runs = [site.launch(preset="quickstart", name=f"run {number}") for number in range(3)]
    page.goto(f"{site.url}/runs")
    page.on("dialog", lambda dialog: dialog.accept())
    bar = page.locator("[data-bulk]")
    expect(bar.get_by_role("button", name="Cancel")).to_be_disabled()

    page.get_by_label("Select run 0").check()
    page.get_by_label("Select run 2").check()
    expect(bar).to_contain_text("2 selected")
    site.post(f"/api/v1/runs/{runs[0]}/pause")
    expect(page.locator(f"tr[data-run='{runs[0]}']")).to_contain_text("Paused")
    expect(page.get_by_label("Select run 0")).to_be_checked()  # a redrawn row keeps its tick

    bar.get_by_placeholder("tag").fill("later")
    bar.get_by_role("button", name="Add tag").click()
    expect(page.locator("table .tag", has_text="later")).to_have_count(2)
    page.get_by_label("Select all runs").check()
    bar.get_by_role("button", name="Cancel").click()
    expect(page.locator("tr[data-status='cancelled']")).to_have_count(3)

    page.get_by_label("Select run 0").check()
    page.get_by_label("Select run 1").check()
    bar.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(re.compile(rf"/compare\?runs={runs[1]},{runs[0]}$"))
    expect(page.get_by_text("1 recipe, 2 runs")).to_be_visible()
    expect(page.locator("table.sides tbody tr")).to_have_count(1)


def test_a_folded_list_follows_its_runs_and_keeps_what_is_selected(site: Site, page: Page) -> None:
    site.serve()
    runs = [site.launch(preset="quickstart", name="Quickstart", recipe={"seed": seed}) for seed in range(3)]
    other = site.launch(preset="quickstart", name="Faster", recipe={"schedule": {"max_lr": 0.2}})
    page.goto(f"{site.url}/runs")
    page.get_by_role("link", name="Fold seeds").click()
    expect(page).to_have_url(re.compile("fold=1"))
    expect(page.get_by_text("2 recipes, 4 runs")).to_be_visible()
    lines = page.locator("tr[data-fold]")
    expect(lines).to_have_count(2)
    expect(lines.nth(1)).to_contain_text("3 queued")
    page.get_by_label("Select Quickstart").check()
    expect(page.locator("[data-bulk]")).to_contain_text("1 selected")

    page.evaluate("window.sameDocument = true")
    site.post(f"/api/v1/runs/{runs[0]}/pause")
    expect(lines.nth(1)).to_contain_text("1 paused")
    expect(lines.nth(1)).to_contain_text("2 queued")
    site.launch(preset="quickstart", name="Slower", recipe={"schedule": {"max_lr": 0.01}})
    expect(lines).to_have_count(3)
    expect(page.get_by_text("3 recipes, 5 runs")).to_be_visible()
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    expect(page.get_by_label("Select Quickstart")).to_be_checked()
    expect(page.locator("[data-bulk]")).to_contain_text("1 selected")

    page.get_by_label("Select Faster").check()
    page.locator("[data-bulk]").get_by_role("button", name="Compare").click()
    expect(page.get_by_text("2 recipes, 4 runs")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/compare\?runs={other},{runs[2]},{runs[1]},{runs[0]}$"))
