"""Every page as those see it who look closely: axe-core's rules, and Lighthouse's marks (`make test-ui`)."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import chromium
from tests.e2e.processes import ROOT, Site
from tests.e2e.stage import Stage, set_stage

pytestmark = [pytest.mark.ui, pytest.mark.timeout(1200)]

MODULES = ROOT / ".venv" / "ui" / "node_modules"
PLAIN = ("home", "runs", "architecture", "notices", "style")
WITH_PLOTLY = ("form", "run", "running", "board", "compare", "group", "previews")
PAGES = PLAIN + WITH_PLOTLY
TIMES = 5
BARS = {"accessibility": 95, "best-practices": 95, "performance": 95}
BAR_WITH_PLOTLY = 90


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    site = Site(tmp_path_factory.mktemp("stage"))
    try:
        yield set_stage(site)
    finally:
        site.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(stage: Stage, browser: Browser, name: str, width: int, scheme: str) -> None:
    axe = (MODULES / "axe-core" / "axe.min.js").read_text()
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,  # of a script that is not ours
    )
    page = context.new_page()
    page.goto(stage.site.url + stage.pages[name])
    page.wait_for_load_state()
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    page.wait_for_timeout(1500)  # what is drawn when it is opened
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    words = [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']][:3]}" for one in found]
    context.close()
    assert not words, "\n".join(words)


@pytest.mark.parametrize("name", PAGES)
def test_lighthouse_gives_good_marks(stage: Stage, tmp_path: Path, name: str) -> None:
    marks = [_marks(stage.site.url + stage.pages[name], tmp_path) for _ in range(TIMES)]
    found = {category: statistics.median(one[category] for one in marks) for category in BARS}
    print(f"\n{name}: {found}")
    bars = BARS | ({"performance": BAR_WITH_PLOTLY} if name in WITH_PLOTLY else {})
    assert not {category: found[category] for category, bar in bars.items() if found[category] < bar}


def _marks(url: str, folder: Path) -> dict[str, float]:
    """Out of 100."""
    file = folder / "report.json"
    command = [
        str(MODULES / ".bin" / "lighthouse"),
        url,
        "--quiet",
        "--preset=desktop",
        "--output=json",
        f"--output-path={file}",
        f"--only-categories={','.join(BARS)}",
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-background-networking",
    ]
    environment = os.environ | {"CHROME_PATH": chromium.find() or ""}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=180)
    categories = json.loads(file.read_text())["categories"]
    return {name: 100 * categories[name]["score"] for name in BARS}
