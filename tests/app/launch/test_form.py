"""The launch form without JavaScript: it posts, names every mistake and loses nothing typed."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import count
from tests.app.support.cast import SMALL
from tests.app.support.form_fields import Fields, form
from trainer.presets import PRESETS


def test_the_form_as_it_is_shown_launches_the_preset(client: TestClient):
    answer = client.post("/runs", data=form(client, label__name="From a form", label__tags="a, b,,"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/1")
    run = client.get("/api/v1/runs/1").json()
    assert run["recipe"] == PRESETS["quickstart"].recipe.model_dump(mode="json")
    assert (run["name"], run["tags"], run["preset"]) == ("From a form", ["a", "b"], "quickstart")
    assert "From a form" in client.get(answer.headers["location"]).text


WRONG = [
    ("epochs", "0", "must be at least 1"),
    ("epochs", "three", "must be a whole number"),
    ("epochs", "2.5", "must be a whole number"),
    ("epochs", "", "must be a whole number"),
    ("schedule.max_lr", "-1", "must be at least 0"),
    ("schedule.max_lr", "nan", "must be a finite number"),
    ("schedule.max_lr", "inf", "must be a finite number"),
    ("augment.0.pad", "99", "must be at most 16"),
    ("dataset.train_limit", "0", "must be at least 1"),
    ("dataset.name", "folder:gone", "is not"),
    ("seed", "9" * 40, "must be at most"),
    ("label.priority", "101", "less than or equal to 100"),
    ("label.priority", "x", "integer"),
    ("label.name", "x" * 201, "at most 200"),
    ("label.name", "a\0b", "control characters"),
    ("label.tags", "x" * 41, "at most 40"),
]


@pytest.mark.parametrize(("field", "value", "message"), WRONG)
def test_a_wrong_value_is_kept_with_its_message_beside_it_and_nothing_is_stored(
    client: TestClient, field: str, value: str, message: str
):
    answer = client.post("/runs", data=form(client) | {field: value, "label.notes": "typed with care"})

    assert answer.status_code == 422
    assert count(client) == 0
    beside = re.search(rf'id="{field.replace(".", "-")}-error">([^<]*)<', answer.text)
    assert beside is not None, "no message beside the field"
    if field != "dataset.name":
        assert message in unescape(beside[1])
    assert Fields(answer.text).sent[field] == value
    assert Fields(answer.text).sent["label.notes"] == "typed with care"
    assert "The run was not launched." in answer.text
    assert f'href="#{field.replace(".", "-")}"' in answer.text


def test_all_wrong_values_are_shown_at_once(client: TestClient):
    answer = client.post("/runs", data=form(client, epochs="0", batch_size="x", label__priority="999"))

    assert "3 fields are invalid" in answer.text
    assert answer.text.count('class="error" id=') == 3


def test_the_buttons_reshape_the_form_and_keep_what_was_typed(client: TestClient):
    typed = form(client, label__name="typed", epochs="not a number")

    added = Fields(client.post("/runs/new", data=typed | {"do": "add.flip"}).text).sent
    constant = Fields(client.post("/runs/new", data=typed | {"schedule.kind": "constant", "do": "shape"}).text).sent

    assert (added["augment.2.op"], added["augment.2.p"]) == ("flip", "0.5")
    assert (added["label.name"], added["epochs"]) == ("typed", "not a number")
    assert constant["schedule.lr"] == "0.1"
    assert "schedule.max_lr" not in constant
    assert count(client) == 0


def test_the_form_of_another_schedule_launches_it(client: TestClient):
    typed = form(client) | {"schedule.kind": "constant", "do": "shape"}
    shown = Fields(client.post("/runs/new", data=typed).text).sent

    assert client.post("/runs", data=shown | {"schedule.lr": "0.25"}).status_code == 303
    assert client.get("/api/v1/runs/1").json()["recipe"]["schedule"] == {"kind": "constant", "lr": 0.25}


def test_a_clone_begins_as_the_run_that_it_is_of(client: TestClient):
    body = {"recipe": SMALL | {"seed": 5}, "name": "Parent", "tags": ["a", "b"], "priority": 3}
    client.post("/api/v1/runs", json=body)

    page = client.get("/runs/new?from=1").text
    answer = client.post("/runs", data=Fields(page).sent)

    assert 'Cloned from <a href="/runs/1">' in page
    assert answer.status_code == 303
    first, second = (client.get(f"/api/v1/runs/{run_id}").json() for run_id in (1, 2))
    assert second["recipe"] == first["recipe"]
    assert (second["parent_id"], second["name"]) == (1, "Parent again")
    assert (second["tags"], second["priority"]) == (["a", "b"], 3)


def test_an_unknown_preset_shows_the_first(client: TestClient):
    assert 'name="preset" value="quickstart"' in client.get("/runs/new?preset=nothing").text
    assert client.get("/runs/new?from=99").status_code == 404
    assert client.get("/runs/new?from=x").status_code == 422


def test_a_form_that_is_no_form_launches_nothing(client: TestClient):
    assert (
        client.post("/runs", content=b'{"epochs": 1}', headers={"Content-Type": "application/json"}).status_code >= 400
    )
    assert client.post("/runs").status_code >= 400
    assert count(client) == 0


def test_a_data_set_that_cannot_be_read_does_not_take_the_form_with_it(
    client: TestClient, state: State, tmp_path: Path
):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "train").mkdir(parents=True)
    (elsewhere / "test").mkdir()
    state.settings.datasets_dir.mkdir(parents=True, exist_ok=True)
    (state.settings.datasets_dir / "linked").symlink_to(elsewhere)

    assert client.get("/runs/new").status_code == 200
    named = {one["name"]: one for one in client.get("/api/v1/datasets").json()}
    assert not named["folder:linked"]["available"] and "not a folder inside" in named["folder:linked"]["note"]
