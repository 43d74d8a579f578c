"""Screenshots for the documentation, light and dark, of runs that were really trained (`make screenshots`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.support.stage import Stage

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]

SHOWN = {"home": "home", "form": "form", "running": "run", "board": "board", "compare": "compare", "group": "group"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SHOWN)
def test_screenshot_of_a_page_for_the_documentation(
    stage: Stage, browser: Browser, pictures: Path, name: str, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(stage.site.url + stage.pages[name])
    page.wait_for_load_state()
    if name != "home":
        expect(page.locator(".static-chart .drawing").first).to_be_visible()
    page.wait_for_timeout(1500)  # fonts, charts, the first heartbeat
    file = pictures / f"{SHOWN[name]}-{scheme}.png"
    page.screenshot(path=file)
    context.close()
    assert file.stat().st_size > 30_000
