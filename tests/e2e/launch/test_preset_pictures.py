"""Pictures of presets for docs/presets.md: curves of schedules, and the first images of a run (`make pictures`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.preview_panel import heads, opened
from tests.e2e.support.processes import Site

pytestmark = [pytest.mark.ui, pytest.mark.timeout(240)]

CURVES = ["seed-custom-sine", "seed-two-slopes", "seed-sgd-scheduler"]
IMAGES = ["seed-crop-pad", "seed-cutout-127", "seed-mixup-cutout"]
ROWS = 4


@pytest.fixture(scope="module")
def presets_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("presets"))
    site.serve()
    yield site
    site.close()


@pytest.fixture
def narrow(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 840, "height": 900}, color_scheme="light")
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", CURVES)
def test_the_curve_of_a_preset_for_the_documents(presets_site: Site, narrow: Page, pictures: Path, name: str) -> None:
    narrow.goto(f"{presets_site.url}/previews?preset={name}")
    chart = narrow.locator("[data-part=rate] figure.chart")
    expect(chart).to_be_visible()
    file = pictures / f"preset-{name}.png"
    chart.screenshot(path=file)
    assert file.stat().st_size > 5_000


@pytest.mark.parametrize("name", IMAGES)
def test_the_images_of_a_preset_for_the_documents(presets_site: Site, narrow: Page, pictures: Path, name: str) -> None:
    """CIFAR-10 is not in this site's data folder, so they are of digits, as all images of the documents."""
    opened(presets_site, narrow, f"/previews?preset={name}")
    expect(narrow.locator("[data-part=images]")).to_contain_text("Images of digits are shown instead.")
    assert heads(narrow)[:2] == ["Label", "As stored"]
    narrow.add_style_tag(content=f"table.stages tbody tr:nth-child(n + {ROWS + 1}) {{ display: none }}")
    file = pictures / f"preset-{name}.png"
    narrow.locator("table.stages").screenshot(path=file)
    assert file.stat().st_size > 5_000
