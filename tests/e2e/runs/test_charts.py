"""Charts with mouse and keyboard, in print, without JavaScript, without Plotly."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from app.web import assets
from tests.e2e.support.charts import handled
from tests.e2e.support.processes import Site, until

pytestmark = pytest.mark.browser

FORM = "/runs/new?preset=quickstart"
IS_LOADED = "'Plotly' in window"


def peak(page: Page) -> str:
    return page.locator(".static-chart .word").first.inner_text()


def test_a_static_chart_follows_the_form_without_loading_plotly(site: Site, page: Page) -> None:
    site.serve()
    page.goto(site.url + FORM)
    assert peak(page).startswith("peak 0.0498")
    page.get_by_label("Peak learning rate").fill("0.3")
    until(lambda: peak(page).startswith("peak 0.299"), 20, "the static chart has changed")
    assert not page.evaluate(IS_LOADED)


def test_keyboard_users_get_the_buttons_too(site: Site, page: Page) -> None:
    site.serve()
    page.goto(site.url + FORM)
    page.wait_for_load_state()
    page.locator("[data-curve]").focus()
    expect(page.locator("[data-curve].js-plotly-plot .plot-container")).to_be_visible()
    expect(page.locator("[data-curve] .modebar-btn").first).to_be_focused()


def test_the_static_chart_stays_until_plotly_loads(site: Site, page: Page) -> None:
    site.serve()
    page.route(f"**{assets.PLOTLY_ADDRESS}", lambda route: route.abort())
    page.watched.forgive = True  # type: ignore[attr-defined]  # the requests fail on purpose
    page.goto(site.url + FORM)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.locator("[data-curve]").hover()
    page.mouse.move(10, 10)
    page.locator("[data-curve]").hover()
    page.wait_for_timeout(1000)
    expect(page.locator("[data-curve] > .static-chart .drawing")).to_be_visible()
    page.unroute(f"**{assets.PLOTLY_ADDRESS}")
    expect(page.locator("[data-curve].js-plotly-plot .plot-container")).to_be_visible()
    assert not wrong, wrong


def test_a_printed_comparison_has_no_empty_frame(site: Site, page: Page) -> None:
    site.serve()
    runs = [site.launch(preset="quickstart", recipe={"schedule": {"max_lr": rate}}) for rate in (0.1, 0.2)]
    page.goto(f"{site.url}/compare?runs={runs[0]},{runs[1]}&field=val_loss")
    expect(page.locator("[data-plot] .static-chart")).to_contain_text("Nothing was measured")
    page.emulate_media(media="print")
    # at one moment: Plotly may be on its way for the knobs
    seen = "[...document.querySelectorAll('.plot')].filter((plot) => plot.checkVisibility())"
    assert page.evaluate(f"{seen}.length") > 0
    assert page.evaluate(f"{seen}.every((plot) => plot.childElementCount > 0)")


def test_without_javascript_nothing_stays_loading(site: Site, browser: Browser) -> None:
    site.serve()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.url + FORM)
    expect(page.locator("[data-curve] .static-chart .drawing")).to_be_visible()
    expect(page.locator(".skeleton")).to_be_hidden()
    expect(page.get_by_role("button", name="Show images")).to_be_visible()
    context.close()


def test_an_interactive_chart_follows_the_form(site: Site, page: Page) -> None:
    site.serve()
    page.goto(site.url + FORM)
    handled(page, "[data-curve]")
    page.get_by_label("Peak learning rate").fill("0.3")
    highest = "Math.max(...document.querySelector('[data-curve]').data[0].y)"
    until(lambda: page.evaluate(highest) > 0.29, 20, "the curve is another")
    expect(page.locator(".static-chart")).to_have_count(0)
