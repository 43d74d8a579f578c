"""A site and a browser for each test. A console error, a script error or a failed request fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests import chromium
from tests.e2e.support.processes import Site
from tests.e2e.support.stage import Stage, set_stage

FLAGS = [
    "--no-sandbox",  # root has no user namespace of its own in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

expect.set_options(timeout=20_000)  # ms: other tests compute beside these; where seconds matter a test gives its own


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", help="folder for the pictures of the documents; `make pictures` gives it")
    parser.addoption("--scheme", default="light", help="light or dark: how the stories' browser is set")
    parser.addoption("--width", default=1280, type=int, help="of the stories' window, in pixels")


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a test leaves pictures of pages: the documents' folder if asked for, else its own."""
    return Path(request.config.getoption("--pictures", default=None) or tmp_path)


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """For looking only: all who ask for it share it."""
    site = Site(tmp_path_factory.mktemp("stage"))
    try:
        yield set_stage(site)
    finally:
        site.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    assert path, f"no Chromium here: {chromium.BY_HAND}"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


class Watched:
    """What went wrong in a page. `forgive` where the test itself breaks the connection."""

    def __init__(self, page: Page) -> None:
        self.wrong: list[str] = []
        self.forgive = False
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("download", lambda download: self._downloaded(download.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not self.forgive:
            self.wrong.append(f"console {message.type}: {message.text} {message.location}")

    def _failed(self, request: Request) -> None:
        # ERR_ABORTED is the browser's own doing (a server that fails has other names): it cuts what of a page is still
        # under way when a button leaves it. A page itself must come, or be a download
        left = request.failure == "net::ERR_ABORTED" and not request.is_navigation_request()
        if not left and not self.forgive:
            self.wrong.append(f"failed request: {request.url} {request.failure}")

    def _downloaded(self, url: str) -> None:
        """The browser says of each download that its page could not be opened."""
        self.wrong = [one for one in self.wrong if one != f"failed request: {url} net::ERR_ABORTED"]


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = (request.config.getoption(name) for name in ("--width", "--scheme"))
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    watched = Watched(opened)
    opened.watched = watched  # type: ignore[attr-defined]  # for tests that break the connection on purpose
    yield opened
    context.close()
    assert not watched.wrong, "\n".join(watched.wrong)
