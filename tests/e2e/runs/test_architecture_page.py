"""The architecture page in a browser: nothing overflows, nothing is missing, no console errors."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.support.processes import Site
from trainer.presets import PRESETS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

WIDE = next(name for name, preset in PRESETS.items() if preset.recipe.model.width == 64)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_drawing_and_the_table_show_every_layer_at_any_width(
    site: Site, page: Page, width: int, scheme: str
) -> None:
    site.serve()
    layers = site.post("/api/v1/previews/architecture", {"preset": WIDE})["layers"]
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})

    page.goto(f"{site.url}/architecture?preset={WIDE}")

    expect(page.get_by_role("img", name="The model as a row of")).to_be_visible()
    assert page.locator("tr[data-layer]").count() == page.locator("g[data-layer]").count() == len(layers)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sheet = page.get_by_role("group", name="Drawing")
    box = sheet.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] > 1000  # readable: a narrow window scrolls the drawing, not the page
    sheet.evaluate("sheet => sheet.scrollTo(1e6, 0)")
    expect(page.locator("g[data-layer=dense]")).to_be_in_viewport()
    ink, ground = (page.locator(f"g[data-layer=Conv2] {part}").first for part in ("text", ".front"))
    assert ink.evaluate("one => getComputedStyle(one).fill") != ground.evaluate("one => getComputedStyle(one).fill")


def test_a_preset_is_chosen_and_leads_to_its_form(site: Site, page: Page) -> None:
    site.serve()
    page.goto(f"{site.url}/architecture")

    page.get_by_label("Preset").select_option(WIDE)
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tiles").first).to_contain_text("6,577,600")
    page.get_by_role("link", name="Start a run").click()

    expect(page.get_by_label("Width")).to_have_value("64")
