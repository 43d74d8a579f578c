"""A run's page besides its curves: filter the log, write notes, view images, copy and use the snippets."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.support.processes import Site, until
from trainer.data import digits

pytestmark = pytest.mark.browser


@pytest.mark.keras
def test_a_finished_run_has_everything_on_its_page(site: Site, page: Page) -> None:
    site.serve()
    site.work()
    run = site.launch(preset="quickstart", name="first", recipe={"epochs": 2})
    until(lambda: site.run(run)["status"] == "succeeded", 120, "it ends")
    page.goto(f"{site.url}/runs/{run}")

    log = page.locator("[data-log]")
    whole = log.text_content() or ""
    assert "finished after 2 epochs" in whole
    page.get_by_placeholder("Find in the log").fill("FINISHED after")
    expect(log).to_have_text("finished after 2 epochs")
    page.get_by_placeholder("Find in the log").fill("")
    expect(log).to_have_text(whole)
    page.get_by_label("Which lines").select_option("Errors")
    expect(log).not_to_contain_text("finished after")
    page.get_by_label("Which lines").select_option("All lines")

    page.get_by_text("Training images", exact=True).click()
    pictures = page.locator("[data-lazy] img")
    expect(pictures.first).to_be_visible()
    assert pictures.count() >= 8

    page.get_by_text("Evaluation:").click()
    expect(page.locator(".confusion tbody tr")).to_have_count(10)
    expect(page.get_by_text("expected calibration error")).to_be_visible()

    page.get_by_text("Try the model on your own image").click()
    seven = site.data_dir / "seven.png"
    Image.fromarray(digits.read()[2][0]).resize((300, 200)).save(seven)
    page.locator("#try-picture").set_input_files(seven)
    expect(page.locator(".tried meter")).to_have_count(10)
    expect(page.locator(".tried img")).to_have_js_property("naturalWidth", 32)
    dropped = page.evaluate_handle(
        """(content) => {
          const given = new DataTransfer();
          given.items.add(new File([content], "<b>x</b>.txt", { type: "text/plain" }));
          return given;
        }""",
        "no picture",
    )
    page.watched.forgive = True  # type: ignore[attr-defined]  # the browser's console says of a refusal that it failed
    page.dispatch_event("[data-try]", "drop", {"dataTransfer": dropped})
    expect(page.locator(".tried .error")).to_contain_text("This is not an image that can be read")
    page.watched.forgive = False  # type: ignore[attr-defined]
    for kind in ("Keras", "ONNX"):
        with page.expect_download(timeout=120_000) as download:
            page.get_by_role("link", name=kind).click(timeout=120_000)
        assert re.fullmatch(rf"run-{run}-epoch-[12]\.{kind.lower()}", download.value.suggested_filename)
        assert download.value.path().stat().st_size > 100_000

    expect(page.locator(".timeline")).to_contain_text("finished")
    expect(page.locator(".timeline li").last).to_contain_text("queued")

    page.get_by_text("Add notes").click()
    page.get_by_label("Notes Markdown").fill("It *works*.\n\n- one\n- two")
    page.get_by_label("Tags").fill("good, week 3")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".prose em")).to_have_text("works")
    expect(page.locator(".prose li")).to_have_count(2)
    expect(page.locator(".head .tag")).to_have_text(["good", "week 3"])


def test_a_copied_snippet_launches_the_same_recipe(site: Site, page: Page) -> None:
    site.serve()
    run = site.launch(preset="page-2018-small", name='it\'s "one"', recipe={"dataset": {"name": "digits"}})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/runs/{run}")
    recipe = site.run(run)["recipe"]
    for title in ("curl", "Python"):
        copy = page.locator("details.copy", has_text=f"As {title}")
        copy.locator("summary").click()
        copy.get_by_role("button", name="Copy").click()
        expect(copy.get_by_role("button", name="Copied")).to_be_visible()
        text = page.evaluate("navigator.clipboard.readText()")
        command: list[Any] = ["bash", "-c", text] if title == "curl" else [sys.executable, "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert done.stdout
        newest = site.get("/api/v1/runs?limit=1")["runs"][0]
        assert newest["id"] > run
        assert newest["name"] == 'it\'s "one"'
        assert site.run(newest["id"])["recipe"] == recipe
