"""Sweeps: one recipe at several values of one knob or two, listed before anything is launched."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.errors import InvalidRecipe
from app.launch.sweeps import Axis, recipe_with
from tests.app.support.form_fields import Fields

RATES = ("schedule.max_lr", "0.1, 0.2,0.4")
BATCHES = ("batch_size", "50, 100")


def form(client: TestClient, *rows: tuple[str, str], **changes: str) -> dict[str, str]:
    sent = Fields(client.get("/runs/new?preset=quickstart").text).sent
    for number, (knob, values) in enumerate(rows):
        sent |= {f"sweep.{number}.knob": knob, f"sweep.{number}.values": values}
    return sent | changes


def launched(client: TestClient) -> list[dict[str, Any]]:
    found = client.get("/api/v1/runs", params={"sort": "id"}).json()["runs"]
    return [client.get(f"/api/v1/runs/{run['id']}").json() for run in found]


def test_the_list_is_shown_first_and_then_launched_as_it_was_shown(client: TestClient):
    page = client.post("/runs", data=form(client, RATES, BATCHES, **{"label.name": "rates", "label.repeats": "2"}))
    assert page.status_code == 200
    assert "Review the sweep: 6 recipes" in page.text
    assert launched(client) == []

    shown = Fields(page.text).sent
    changed = client.post("/runs", data=shown | {"sweep.0.values": "0.1, 0.2"})
    assert "Review the sweep: 4 recipes" in changed.text, "another list: shown first"
    assert launched(client) == []

    answer = client.post("/runs", data=shown)
    assert answer.status_code == 303
    runs = launched(client)
    assert len(runs) == 12
    assert answer.headers["location"] == f"/runs?tag=sweep%20{runs[0]['id']}"
    assert {tuple(run["tags"]) for run in runs} == {(f"sweep {runs[0]['id']}",)}
    made = [(run["recipe"]["schedule"]["max_lr"], run["recipe"]["batch_size"], run["seed"]) for run in runs]
    assert made == [(rate, batch, seed) for rate in (0.1, 0.2, 0.4) for batch in (50, 100) for seed in (0, 1)]
    assert runs[0]["name"] == "rates: max_lr 0.1, batch_size 50"


@pytest.mark.parametrize(
    ("rows", "field", "words"),
    [
        ([("schedule.nothing", "1")], "sweep.0.knob", "is not a setting of a recipe"),
        ([("schedule.knots", "1")], "sweep.0.knob", "is not a setting of a recipe"),
        ([("", "1, 2")], "sweep.0.knob", "is missing"),
        ([RATES, ("batch_size", " ,")], "sweep.1.values", "is missing"),
        ([RATES, RATES], "sweep.1.knob", "already swept"),
        ([("schedule.max_lr", "0.1, much")], "sweep.0.values", "much: schedule.max_lr"),
        ([("batch_size", "50, -1")], "sweep.0.values", "-1: batch_size"),
        ([("seed", ",".join(map(str, range(101))))], "sweep.0.values", "101 runs"),
        ([("schedule.lr", "0.1")], "sweep.0.knob", "this recipe has no schedule.lr"),
        ([("augment.9.p", "0.1")], "sweep.0.knob", "this recipe has no augment.9.p"),
    ],
)
def test_what_is_no_sweep_is_named_beside_its_field(client: TestClient, rows: Any, field: str, words: str):
    answer = client.post("/runs", data=form(client, *rows))
    assert answer.status_code == 422
    id_ = field.replace(".", "-")
    said = re.findall(rf'id="{id_}-error">(.*?)</p>', answer.text)
    assert said and words.lower() in said[0].lower().replace("&#39;", "'"), answer.text
    assert launched(client) == []


def test_a_script_sweeps_in_one_request_and_can_look_first(client: TestClient):
    over = [{"knob": "schedule.max_lr", "values": [0.1, 0.2]}, {"knob": "augment.0.pad", "values": [2, 4]}]
    asked = {"preset": "quickstart", "over": over}
    looked = client.post("/api/v1/sweeps", json=asked | {"dry_run": True}).json()
    assert len(looked["points"]) == 4 and looked["runs"] == []
    assert launched(client) == []
    made = client.post("/api/v1/sweeps", json=asked | {"repeats": 2, "tags": ["mine"]})
    assert made.status_code == 201
    runs = made.json()["runs"]
    assert [run["tags"] for run in runs] == [["mine", f"sweep {runs[0]['id']}"]] * 8
    assert looked["points"] == made.json()["points"]


@pytest.mark.parametrize(
    "change",
    [{"over": []}, {"over": [{"knob": "seed", "values": []}]}, {"over": [{"knob": "seed", "values": ["1"]}]},
     {"over": [{"knob": "seed", "values": [1, 2]}], "repeats": 2}, {"over": [{"knob": "x", "values": [1]}] * 3},
     {"over": [{"knob": "seed", "values": list(range(60))}, {"knob": "epochs", "values": [1, 2]}]}],
)  # fmt: skip
def test_a_script_s_mistakes_are_refused_and_launch_nothing(client: TestClient, change: dict[str, Any]):
    assert client.post("/api/v1/sweeps", json={"preset": "quickstart"} | change).status_code == 422
    assert launched(client) == []


def test_one_wrong_value_of_many_launches_none(client: TestClient):
    over = [{"knob": "batch_size", "values": [50, 100, 10**9]}]
    assert client.post("/api/v1/sweeps", json={"preset": "quickstart", "over": over}).status_code == 422
    assert launched(client) == []


def test_a_recipe_is_not_changed_by_looking_at_its_points():
    recipe = {"schedule": {"max_lr": 1}, "augment": [{"p": 0.5}]}
    axes = [Axis("augment.0.p", [0.1])]
    assert recipe_with(recipe, {"augment.0.p": 0.1}, axes)["augment"] == [{"p": 0.1}]
    assert recipe["augment"] == [{"p": 0.5}]
    with pytest.raises(InvalidRecipe):
        recipe_with(recipe, {"schedule.max_lr.x": 1}, [Axis("schedule.max_lr.x", [1])])


def test_a_script_s_mistake_is_named_as_it_wrote_it(client: TestClient):
    over = [{"knob": "batch_size", "values": [50, -1]}, {"knob": "nothing", "values": [1]}]
    for fields, said in (([0], "over.0.values"), ([0, 1], "over.1.knob")):
        asked = {"preset": "quickstart", "over": [over[field] for field in fields]}
        assert client.post("/api/v1/sweeps", json=asked).json()["field"] == said


def test_sent_twice_under_one_key_it_is_launched_once(client: TestClient):
    asked = {"preset": "quickstart", "over": [{"knob": "batch_size", "values": [50, 100]}]}
    first, second = (client.post("/api/v1/sweeps", json=asked, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(launched(client)) == 2


@pytest.mark.parametrize(
    ("knob", "values", "words"),
    [
        ("batch_size", [50, 50], "two of these runs would be the same"),
        ("schedule.kind", ["constant"], "determines which other settings exist"),
        ("augment.0.op", ["flip"], "determines which other settings exist"),
        (f"schedule.{'x' * 180}", [1], "is not a setting of a recipe"),
    ],
)
def test_what_would_launch_no_sweep_says_why(client: TestClient, knob: str, values: list[Any], words: str):
    answer = client.post("/api/v1/sweeps", json={"preset": "quickstart", "over": [{"knob": knob, "values": values}]})
    assert (answer.status_code, words in answer.text) == (422, True), answer.text


def test_the_sweep_s_own_tag_needs_a_place(client: TestClient):
    asked = {"preset": "quickstart", "over": [{"knob": "seed", "values": [1]}], "tags": [f"t{n}" for n in range(20)]}
    answer = client.post("/api/v1/sweeps", json=asked)
    assert (answer.status_code, answer.json()["field"]) == (422, "tags")
