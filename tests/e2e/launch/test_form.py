"""The form before a launch: a draft that outlives its tab, a sweep that is listed before it is launched."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.support.processes import Site, until

pytestmark = pytest.mark.browser


def test_a_draft_outlives_its_tab_until_it_is_launched(site: Site, page: Page) -> None:
    site.serve()
    address = f"{site.url}/runs/new?preset=quickstart"
    page.goto(address)
    expect(page.locator("[data-draft]")).to_be_hidden()
    page.locator('[name="schedule.kind"]').select_option("constant")
    page.locator('[name="schedule.lr"]').fill("0.0125")
    page.locator('[name="label.name"]').fill("half <b>done")
    until(lambda: page.evaluate("(localStorage.getItem('pitwall.draft') ?? '').includes('half')"), 10, "it is kept")

    again = page.context.new_page()
    page.goto("about:blank")
    again.goto(address)
    again.get_by_role("button", name="Restore draft").click()
    expect(again.locator('[name="schedule.lr"]')).to_have_value("0.0125")
    again.wait_for_load_state()  # whoever launches before the scripts are there keeps a draft of what runs
    expect(again.locator('[name="label.name"]')).to_have_value("half <b>done")
    again.locator(".launch button").click()
    again.wait_for_url(re.compile(r"/runs/\d+$"))
    run = site.run(int(again.url.rpartition("/")[2]))
    assert (run["name"], run["recipe"]["schedule"]["lr"]) == ("half <b>done", 0.0125)
    again.goto(address)
    expect(again.locator("[data-draft]")).to_be_hidden()
    again.wait_for_load_state()


def test_a_sweep_shows_its_runs_before_it_launches_them(site: Site, page: Page) -> None:
    site.serve()
    page.goto(f"{site.url}/runs/new?preset=quickstart")
    page.locator('[name="sweep.0.knob"]').fill("schedule.max_lr")
    page.locator('[name="sweep.0.values"]').fill("0.1, 0.2, x")
    page.watched.forgive = True  # type: ignore[attr-defined]  # the browser's console says of a refusal that it failed
    page.locator(".launch button").click()
    expect(page.locator("#sweep-0-values-error")).to_contain_text("number")
    page.watched.forgive = False  # type: ignore[attr-defined]
    page.locator('[name="sweep.0.values"]').fill("0.1, 0.2, 0.4")
    page.locator('[name="sweep.1.knob"]').fill("batch_size")
    page.locator('[name="sweep.1.values"]').fill("64, 128")
    page.locator(".launch button").click()

    expect(page.get_by_role("heading", name="Review the sweep: 6 recipes")).to_be_visible()
    assert site.get("/api/v1/runs")["runs"] == []
    expect(page.locator(".to-launch tbody tr")).to_have_count(6)
    expect(page.locator(".to-launch tbody tr").first).to_have_text(re.compile(r"0\.1\s*64"))
    page.get_by_role("button", name="Launch these").click()
    expect(page.locator("tr[data-run]")).to_have_count(6)
    recipes = [run["recipe"] for run in site.get("/api/v1/runs")["runs"]]
    launched = sorted((recipe["schedule"]["max_lr"], recipe["batch_size"]) for recipe in recipes)
    assert launched == [(rate, batch) for rate in (0.1, 0.2, 0.4) for batch in (64, 128)]
