"""The story: somebody fills the form, sees the curve grow, sees the run end. Real server, worker, net, browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.processes import Site, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

EPOCHS = 8


@pytest.mark.keras
def test_the_form_launches_a_run_whose_curve_grows_until_it_has_ended(site: Site, page: Page, browser: Browser) -> None:
    site.serve()
    site.work()

    page.goto(site.url)
    page.get_by_role("link", name="New run").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New run")
    page.wait_for_load_state()  # a script that is left half loaded is a failed request
    page.get_by_role("link", name=re.compile("^Quickstart")).click()
    expect(page).to_have_url(re.compile("preset=quickstart"))
    page.wait_for_load_state()
    page.get_by_label("Name").fill("My first run")
    page.get_by_label("Epochs", exact=True).fill(str(EPOCHS))
    page.get_by_label("Tags").fill("story, first")
    page.get_by_role("button", name="Launch run").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("My first run")
    page.evaluate("window.sameDocument = true")
    drawn = "Number(document.documentElement.dataset.drawnEpoch)"
    points = "document.querySelector('[data-chart=accuracy] .plot').data.find(t => t.meta.field === 'val_accuracy').y"
    until(lambda: page.evaluate(f"{drawn} >= 2"), 120, "two epochs are drawn")
    until(lambda: page.evaluate(f"{points}.length === {drawn}"), 10, "the chart has what it says to have drawn")
    until(lambda: page.evaluate(f"{drawn} >= {EPOCHS - 2}"), 60, "most epochs are drawn")
    expect(page.locator("[data-epochs]")).to_have_text(f"{EPOCHS - 2} of {EPOCHS}")
    page.locator("[data-chart=loss]").scroll_into_view_if_needed()
    expect(page.locator("[data-chart=loss] .plot-container")).to_be_visible()
    page.evaluate(  # somebody zooms in
        "Plotly.relayout(document.querySelector('[data-chart=loss] .plot'), {'xaxis.range': [0.5, 2.5]})"
    )
    other = browser.new_context().new_page()
    other.goto(page.url)

    expect(page.locator("main .badge").first).to_have_text("Finished", timeout=120_000)
    until(lambda: page.evaluate(f"{drawn} === {EPOCHS}"), 10, "all epochs are drawn")
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    assert page.evaluate(f"{points}.length") == EPOCHS
    zoom = page.evaluate("document.querySelector('[data-chart=loss] .plot').layout.xaxis.range")
    assert zoom == [0.5, 2.5], "the zoom was lost"
    expect(page.locator("table.epochs tbody tr")).to_have_count(EPOCHS)
    expect(page.locator("[data-log]")).to_contain_text(f"finished after {EPOCHS} epochs")
    expect(page.get_by_text("exit code 0")).to_be_visible()
    expect(other.locator("table.epochs tbody tr")).to_have_count(EPOCHS)
    other.context.close()

    best = site.run(1)["best_val_accuracy"]
    expect(page.locator(".tiles").first).to_contain_text(f"{best * 100:.2f}")
    page.get_by_role("button", name="Training time").click()
    axis = "document.querySelector('[data-chart=accuracy] .plot').data[0].x"
    until(lambda: page.evaluate(f"{axis}[0]") != 1, 10, "the axis counts seconds")
    elapsed = page.evaluate(axis)
    assert len(elapsed) == EPOCHS and elapsed == sorted(elapsed) and elapsed[-1] > EPOCHS / 100
    buttons = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
    assert buttons and not [title for title in buttons if re.search("share|cloud|upload", title, re.IGNORECASE)]


def test_the_list_shows_new_runs_and_their_moves_without_a_reload(site: Site, page: Page) -> None:
    site.serve()
    first = site.launch(preset="quickstart", name="one")
    page.goto(f"{site.url}/runs")
    page.evaluate("window.sameDocument = true")

    second = site.launch(preset="quickstart", name="two")
    expect(page.locator(f"tr[data-run='{second}']")).to_contain_text("Queued")
    site.post(f"/api/v1/runs/{first}/cancel")
    expect(page.locator(f"tr[data-run='{first}']")).to_contain_text("Cancelled")
    site.call("DELETE", f"/api/v1/runs/{first}")

    expect(page.locator(f"tr[data-run='{first}']")).to_have_count(0)
    assert page.evaluate("window.sameDocument")


def test_a_wrong_knob_is_shown_beside_its_field_and_nothing_is_lost(site: Site, page: Page) -> None:
    site.serve()
    page.goto(f"{site.url}/runs/new?preset=quickstart")
    page.get_by_label("Name").fill("Half done")
    page.get_by_label("Peak learning rate").fill("-3")
    page.get_by_label("Batch size").fill("many")
    page.get_by_label("Schedule", exact=True).select_option("constant")
    expect(page.get_by_label("Peak learning rate")).to_have_count(0)
    page.get_by_label("Schedule", exact=True).select_option("triangular")
    page.get_by_label("Peak learning rate").fill("-3")
    page.get_by_role("button", name="flip").click()
    expect(page.get_by_text("3. flip", exact=False)).to_be_visible()
    page.watched.forgive = True  # type: ignore[attr-defined]  # the browser logs the 422 that is wanted here
    page.get_by_role("button", name="Launch run").click()

    expect(page.get_by_role("alert")).to_contain_text("The run was not launched")
    expect(page.get_by_label("Peak learning rate")).to_have_value("-3")
    expect(page.get_by_label("Batch size")).to_have_value("many")
    expect(page.get_by_label("Name")).to_have_value("Half done")
    expect(page.locator("#schedule-max_lr-error")).to_have_text("Peak learning rate must be at least 0")
    expect(page.locator("#batch_size-error")).to_have_text("Batch size must be a whole number")
    assert site.get("/api/v1/runs")["runs"] == []


def test_every_page_works_without_javascript(site: Site, browser: Browser) -> None:
    site.serve()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(f"{site.url}/runs/new?preset=quickstart")
    page.get_by_role("button", name="flip").click()
    expect(page.locator("fieldset.inner legend", has_text="flip")).to_have_count(1)
    page.get_by_role("button", name="Remove flip").click()
    expect(page.locator("fieldset.inner legend", has_text="flip")).to_have_count(0)
    page.get_by_label("Schedule", exact=True).select_option("constant")
    page.get_by_role("group", name="Schedule").get_by_role("button", name="Show its settings").click()
    page.get_by_role("textbox", name="Learning rate").fill("0.05")
    page.get_by_role("button", name="Launch run").click()

    expect(page.locator("main .badge").first).to_have_text("Queued")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("main .badge").first).to_have_text("Cancelled")
    page.goto(f"{site.url}/runs")
    expect(page.locator("tr[data-run]")).to_contain_text("Cancelled")
    assert site.run(1)["recipe"]["schedule"] == {"kind": "constant", "lr": 0.05}
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("path", ["/", "/runs", "/runs/new", "/runs/1"])
def test_no_page_is_wider_than_its_window(site: Site, page: Page, path: str, width: int) -> None:
    site.serve()
    long_name = "A run with a name that goes on for longer than anybody would like " * 2
    site.launch(preset="seed-readme-fixed", name=long_name)

    page.set_viewport_size({"width": width, "height": 800})
    page.goto(site.url + path)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
