"""Two recipes that differ are repeated until the verdict on them is decided: by a button, and over REST while the app
is killed."""

from __future__ import annotations

import re
import time
import urllib.error
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chaos.world import light
from tests.e2e.support.processes import Site, until

pytestmark = pytest.mark.timeout(500)

LEARNS = light(6, step_ms=2)
FAR_TOO_LOW = {"schedule": {"kind": "triangular", "base_lr": 1e-7, "max_lr": 2e-7, "step_epochs": 3}}
KILLS = 6


def carry(site: Site, *names: str) -> None:
    """Workers whose trainers compute in NumPy: a run takes seconds."""
    for name in names:
        arguments = ("--server", site.url, "--device", "cpu", "--name", name, "--checkpoint-every", "60", "--no-warm")
        site.start("tests.chaos.light_worker", *arguments)


@pytest.mark.browser
def test_two_recipes_are_repeated_until_decided_by_a_button(site: Site, page: Page) -> None:
    site.serve()
    carry(site, "ada")
    groups = []
    for name, recipe in (("Learns", LEARNS), ("Hardly learns", LEARNS | FAR_TOO_LOW)):
        run = site.post("/api/v1/runs", {"name": name, "recipe": recipe})["runs"][0]
        assert site.wait_for(run["id"], "succeeded", "failed")["status"] == "succeeded"
        groups.append(run["recipe_hash"][:12])

    page.goto(f"{site.url}/board?metric=accuracy")
    page.get_by_role("button", name="Repeat until decided").click()
    expect(page).to_have_url(re.compile(r"/settles/1$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Hardly learns against Learns")
    expect(page.locator("main .badge").first).to_have_text("Running")
    expect(page.locator("tr[data-run]")).to_have_count(2)
    page.evaluate("window.sameDocument = true")

    expect(page.locator("main .verdict")).to_contain_text(
        "Hardly learns is worse than Learns by final accuracy", timeout=120_000
    )
    expect(page.locator("main .badge").first).to_have_text("Decided")
    expect(page.locator("main")).to_contain_text("at stopping; tends to be too large")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    found = site.get("/api/v1/settles/1")
    assert (found["status"], found["verdict"]) == ("decided", "worse")
    assert max(found["n"]) <= 6, "so clear a difference takes few seeds"

    page.get_by_role("link", name="Board").click()
    expect(page.get_by_role("link", name="Hardly learns is worse than Learns")).to_be_visible()
    page.goto(f"{site.url}/groups/{groups[0]}")
    page.get_by_role("button", name="Pin as baseline").click()
    expect(page.get_by_role("button", name="Unpin baseline")).to_be_visible()
    page.goto(f"{site.url}/groups/{groups[1]}")
    page.get_by_role("combobox", name="By").select_option("best_accuracy")
    page.get_by_role("button", name="Repeat until decided").click()
    expect(page).to_have_url(re.compile(r"/settles/2$"))
    expect(page.locator("main .verdict")).to_contain_text("worse than Learns by best accuracy", timeout=120_000)


def test_over_rest_it_stops_by_itself_while_the_app_is_killed(site: Site) -> None:
    """Whatever moment the app is killed in, seeds are new, come in pairs, and none is queued twice."""
    web = site.serve()
    carry(site, "ada", "bea")
    hashes = []
    for name, changes in (("Learns", {}), ("Learns, too", {"last_batch": "drop"})):
        run = site.post("/api/v1/runs", {"name": name, "recipe": light(2, 4) | changes})["runs"][0]
        site.wait_for(run["id"], "succeeded")
        hashes.append(run["recipe_hash"])
    asked = {"baseline": hashes[0], "candidate": hashes[1], "metric": "accuracy", "max_seeds": 8}
    made = site.post("/api/v1/settles", asked)
    assert (made["status"], len(made["in_progress"])) == ("running", 2)

    for number in range(KILLS):
        time.sleep(0.7 + 0.31 * number)
        web.kill()
        web.wait()
        web = site.serve()
    found: dict[str, Any] = until(lambda: ended(site), 240, "the settle ends")

    assert found["status"] in {"decided", "undecided"}, found
    runs = [site.run(run) for run in found["runs"]]
    seeds = {one: [run["seed"] for run in runs if run["recipe_hash"] == one] for one in hashes}
    assert all(len(set(those)) == len(those) for those in seeds.values()), "no seed twice"
    assert [run["recipe_hash"] for run in runs] == [hashes[index % 2] for index in range(len(runs))], "in turn"
    assert seeds[hashes[0]][: len(seeds[hashes[1]])] == seeds[hashes[1]], "in pairs"
    assert max(found["n"]) <= 8
    verdict = site.post("/api/v1/verdicts", {key: value for key, value in asked.items() if key != "max_seeds"})
    assert (verdict["n"], verdict["difference"]) == (found["n"], pytest.approx(found["difference"]))


def ended(site: Site) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = site.get("/api/v1/settles/1")
    except (OSError, urllib.error.URLError):
        return None
    return found if found["status"] != "running" else None
