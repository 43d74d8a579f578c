"""The page of a run besides its curves: notes, settings that differ, timeline, snippets."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.records.models import Event
from app.run_page import snippets
from app.runs import timeline
from app.web.deps import State
from tests.app.support.cast import NOW, Hand, epoch, launch, started
from trainer.presets import PRESETS

HOSTILE = "<script>alert(1)</script>"


def test_name_tags_and_notes_are_edited_by_a_form(client: TestClient, state: State):
    run = launch(state, name="before")
    told = {"name": " after ", "tags": "week 3, , good", "notes": f"**Bold** {HOSTILE}\r\n\r\n| a |\r\n|-|\r\n| 1 |"}
    answer = client.post(f"/runs/{run}/edit", data=told)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run}")
    found = client.get(f"/api/v1/runs/{run}").json()
    assert (found["name"], found["tags"]) == ("after", ["week 3", "good"])
    page = client.get(f"/runs/{run}").text
    assert "<strong>Bold</strong>" in page and "<td>1</td>" in page
    assert HOSTILE not in page


@pytest.mark.parametrize(("told", "field"), [({"name": ""}, "name"), ({"name": "a", "tags": "x" * 41}, "tags")])
def test_an_invalid_edit_names_the_field(client: TestClient, state: State, told: dict[str, str], field: str):
    run = launch(state, name="before")
    answer = client.post(f"/runs/{run}/edit", data=told)
    assert answer.status_code == 422
    assert field in answer.text
    assert client.get(f"/api/v1/runs/{run}").json()["name"] == "before"


def test_each_setting_shows_its_value_in_preset_and_parent(client: TestClient):
    asked = {"preset": "quickstart", "recipe": {"epochs": 3}}
    first = client.post("/api/v1/runs", json=asked).json()["runs"][0]["id"]
    again = client.post(f"/api/v1/runs/{first}/clone", json={"recipe": {"epochs": 5, "seed": 4}})
    page = client.get(f"/runs/{again.json()['runs'][0]['id']}").text
    rows = dict(re.findall(r'<tr data-changed><th scope="row">([\w.]+)</th><td>(.*?)</td></tr>', page))
    assert set(rows) == {"epochs", "seed"}
    assert re.findall(r'<span class="sub">(.*?)</span>', rows["epochs"]) == [
        f"preset quickstart: {PRESETS['quickstart'].recipe.epochs}",
        f"run {first}: 3",
    ]
    assert re.findall(r'<span class="sub">(.*?)</span>', rows["seed"]) == [f"run {first}: 0"]


def test_the_timeline_is_newest_first_without_repeats(client: TestClient, state: State):
    hand = Hand(client, state)
    run = launch(state, name="told")
    assert hand.claim()
    hand.say(started(), epoch(1), {"event": "checkpoint", "epoch": 1, "step": 4, "bytes": 9, "seconds": 0.1})
    client.patch(f"/api/v1/runs/{run}", json={"notes": "a"}).raise_for_status()
    client.patch(f"/api/v1/runs/{run}", json={"notes": "b"}).raise_for_status()
    hand.say({"event": "not_saved", "epoch": 2, "step": 0, "message": "the disk is full"})
    client.post(f"/api/v1/runs/{run}/cancel").raise_for_status()
    with state.records.read() as session:
        lines = [entry.text for entry in timeline.run_timeline(session, run)]
    assert lines == [
        "cancel requested",
        "checkpoint failed after epoch 2: the disk is full",
        "checkpoint after epoch 1, step 4 of the next",
        "training started",
        "running",
        "claimed by a worker",
        "queued",
    ]
    assert "cancel requested" in client.get(f"/runs/{run}").text


def test_the_timeline_has_a_maximum_length(state: State):
    run = launch(state)
    with state.records.write() as session:
        for number in range(500):
            at, data = NOW + timedelta(seconds=number), {"epoch": number, "step": 0}
            session.add(Event(run_id=run, attempt=1, seq=number, kind="checkpoint", data=data, at=at))
    with state.records.read() as session:
        entries = timeline.run_timeline(session, run)
    assert [entry.text for entry in entries[:2]] == ["checkpoint after epoch 499", "checkpoint after epoch 498"]
    assert len(entries) == timeline.MAX_ENTRIES


@pytest.mark.parametrize("has_login", [False, True])
def test_snippets_hold_the_recipe_and_never_a_token(has_login: bool):
    recipe = {"epochs": 3, "note": 'it\'s "quoted" $HOME `x`'}
    found = dict(snippets.launch_snippets(recipe, "a'b", "http://here:8000", has_login=has_login))
    assert json.loads(found["JSON"]) == {"name": "a'b", "recipe": recipe}
    compile(found["Python"], "copied", "exec")
    assert ("PITWALL_TOKEN" in found["curl"] and "PITWALL_TOKEN" in found["Python"]) == has_login


def test_the_training_images_of_a_run_are_loaded_on_demand(client: TestClient, state: State):
    run = launch(state, {"dataset": {"name": "digits"}})
    assert f'data-lazy="/runs/{run}/pictures"' in client.get(f"/runs/{run}").text
    assert client.get(f"/runs/{run}/pictures").text.count('<tr data-picture="') == 8
    missing = launch(state, {"dataset": {"name": "cifar10"}})  # not downloaded
    assert "cifar10" in client.get(f"/runs/{missing}/pictures").text
