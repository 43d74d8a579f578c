"""Settles on pages: the button on compare and group, and the page of a settle. Without JavaScript."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import Hand
from tests.app.support.settling import carried, launched, looked, pair, settle, shown


def pressed(http: TestClient, baseline: str, candidate: str, **fields: str) -> Any:
    form = {"baseline": baseline, "candidate": candidate, "metric": "accuracy", "target": "", "margin": ""} | fields
    return http.post("/settles", data=form)


def test_the_button_starts_a_settle_and_leads_to_its_page(client: TestClient, state: State):
    one, other = pair(client, state)

    answer = pressed(client, one[:12], other[:12], target="0,9", margin="0,5", max_seeds="7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settles/1")
    found = shown(client, 1)
    assert (found["baseline"], found["candidate"], found["max_seeds"]) == (one, other, 7)
    assert (found["target"], found["margin"]) == (0.9, 0.005)
    page = client.get("/settles/1").text
    assert "Second against First" in page and "at most 7 seeds each" in page and "margin 0.5 percentage points" in page
    assert "Second against First: undecided by final accuracy after 1 seed each" in page
    assert f"/compare?groups={one[:12]},{other[:12]}" in page
    assert f'href="/groups/{one[:12]}"' in page and f'href="/groups/{other[:12]}"' in page
    assert pressed(client, other, one).headers["location"] == "/settles/1", "the one that runs already"


@pytest.mark.parametrize("scale", [("epochs_to_target", 1.5, "1.5 epochs"), ("images_per_second", 0.015, "1.5 %")])
def test_a_margin_is_in_the_unit_of_its_metric(client: TestClient, state: State, scale: tuple[str, float, str]):
    one, other = pair(client, state)
    pressed(client, one, other, metric=scale[0], margin="1.5", target="0.3")

    assert shown(client, 1)["margin"] == scale[1]
    assert f"margin {scale[2]}" in client.get("/settles/1").text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("target", "1"),
        ("target", "most"),
        ("margin", "-1"),
        ("margin", "nan"),
        ("max_seeds", "1"),
        ("max_seeds", "2.5"),
    ],
)
def test_a_wrong_field_gets_a_page_with_a_sentence(client: TestClient, state: State, field: str, text: str):
    answer = pressed(client, *pair(client, state), **{field: text})

    assert answer.status_code == 422
    assert f"{field}: " in answer.text and "does not work: use" in answer.text


def test_a_decided_settle_says_that_its_difference_tends_to_be_too_large(client: TestClient, state: State):
    hashes = pair(client, state, (0.9, 0.91), (0.5, 0.51))
    settle(client, hashes)
    while looked(client, 1)["status"] == "running":
        carried(client, state, lambda run: 0.9 if run["recipe_hash"] == hashes[0] else 0.5)

    page = client.get("/settles/1/state").text
    assert "Second is worse than First by final accuracy" in page
    assert "at stopping; tends to be too large" in page
    assert "Decided" in page and "/settles/1/cancel" not in page


def test_it_is_cancelled_on_its_page(client: TestClient, state: State):
    settle(client, pair(client, state))
    assert "/settles/1/cancel" in client.get("/settles/1").text

    assert client.post("/settles/1/cancel").headers["location"] == "/settles/1"
    assert "Cancelled" in client.get("/settles/1").text
    assert client.post("/settles/1/cancel").status_code == 409


def test_it_says_which_worker_is_missing_while_it_waits(client: TestClient, state: State):
    settle(client, pair(client, state))
    state.leases.mark_gone("ada")

    assert "None of its runs can start now: no worker is connected" in client.get("/settles/1").text
    assert shown(client, 1)["waits_for"] == "no worker is connected: start one"
    assert Hand(client, state).claim()
    assert shown(client, 1)["waits_for"] is None


def test_compare_has_the_button_for_two_recipes_of_one_data_set(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.91), (0.5,))

    page = client.get(f"/compare?runs=1,2,3&groups={other[:12]}").text
    fields = dict(re.findall(r'<input type="hidden" name="(baseline|candidate)" value="(\w+)">', page))
    assert fields == {"baseline": one, "candidate": other}
    assert "Repeat until decided" in page
    assert "Repeat until decided" not in client.get("/compare?runs=1,2").text
    third = launched(client, {"epochs": 3})
    groups = ",".join(name[:12] for name in (one, other, third))
    assert "Repeat until decided" not in client.get(f"/compare?groups={groups}").text


def test_a_group_offers_the_other_recipes_and_the_pinned_baseline_first(client: TestClient, state: State):
    one, other = pair(client, state)
    page = client.get(f"/groups/{other}").text
    assert re.search(rf'<select name="baseline"><option value="{one}" >First \({one[:8]}\)</option></select>', page)
    assert f'<input type="hidden" name="candidate" value="{other}">' in page

    client.post(f"/groups/{one}/pin")
    page = client.get(f"/groups/{one}").text
    assert f'<input type="hidden" name="baseline" value="{one}">' in page
    assert f'<select name="candidate"><option value="{other}" >' in page


def test_a_single_recipe_has_nothing_to_be_compared_with(client: TestClient):
    assert "There is no other recipe on digits yet" in client.get(f"/groups/{launched(client)}").text
