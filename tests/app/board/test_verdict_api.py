"""Verdicts and pinned baselines over REST."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import SMALL
from tests.app.support.settling import carried, launched, pair


def judged(http: TestClient, one: str, other: str, **more: Any) -> dict[str, Any]:
    asked = {"baseline": one, "candidate": other, "metric": "accuracy"} | more
    answer = http.post("/api/v1/verdicts", json=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_clear_difference_is_told_with_its_numbers(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.91, 0.905), (0.5, 0.51, 0.505))

    found = judged(client, one[:8], other)
    assert (found["verdict"], found["n"], found["comparisons"]) == ("worse", [3, 3], 1)
    assert found["difference"] == pytest.approx(-0.4)
    low, high = found["interval"]
    assert low < -0.4 < high < 0
    assert (found["baseline"], found["candidate"], found["seeds_needed"]) == (one, other, 0)
    assert found["sentence"].startswith("Second is worse than First by final accuracy, after 3 seeds each")
    assert (found["hardware"], found["fingerprint"]) == ("cpu: Testing 3000", "f" * 64)
    assert found["seconds_per_run"] == [8, 8]
    assert judged(client, other, one)["verdict"] == "better"


def test_nothing_is_queued_and_one_run_each_is_undecided(client: TestClient, state: State):
    one, other = pair(client, state)
    before = len(client.get("/api/v1/runs").json()["runs"])

    found = judged(client, one, other)
    assert (found["verdict"], found["n"], found["interval"], found["looks_left"]) == ("undecided", [1, 1], None, 38)
    assert len(client.get("/api/v1/runs").json()["runs"]) == before


def test_equal_numbers_within_the_margin_are_equivalent(client: TestClient, state: State):
    one, other = pair(client, state, [0.9] * 6, [0.9] * 6)

    assert judged(client, one, other)["verdict"] == "undecided", "without a margin nothing is called equal"
    assert judged(client, one, other, margin=0.2)["verdict"] == "equivalent"


def test_a_larger_family_needs_more_evidence(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.88, 0.92), (0.7, 0.68, 0.72))

    assert judged(client, one, other)["verdict"] == "worse"
    assert judged(client, one, other, family=10_000)["verdict"] == "undecided"
    assert judged(client, one, other, family="board")["comparisons"] == 1, "the board has two rows"


def test_recipes_of_different_data_are_not_comparable(client: TestClient, state: State):
    one, _ = pair(client, state)
    other = launched(client, {"dataset": {"name": "digits", "val_limit": 100}})
    assert carried(client, state)

    found = judged(client, one, other)
    assert (found["verdict"], found["n"], found["looks_left"]) == ("not_comparable", [0, 0], None)
    assert "validated on different images" in found["sentence"]


def test_recipes_on_different_hardware_are_not_comparable(client: TestClient, state: State):
    one, _ = pair(client, state)
    other = launched(client, {"epochs": 3})
    assert carried(client, state, device="GPU one")

    assert "they ran on different hardware" in judged(client, one, other)["sentence"]
    there = judged(client, one, other, hardware="GPU one")
    assert (there["verdict"], there["n"], there["hardware"]) == ("undecided", [0, 1], "GPU one")


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"baseline": "0" * 64}, 404, None),
        ({"candidate": "no hash"}, 404, None),
        ({"metric": "beauty"}, 422, "metric"),
        ({"metric": None}, 422, "metric"),
        ({"target": 0}, 422, "target"),
        ({"target": 1}, 422, "target"),
        ({"target": "0.9"}, 422, "target"),
        ({"margin": 0}, 422, "margin"),
        ({"margin": -0.1}, 422, "margin"),
        ({"dataset": "cifar10"}, 422, "baseline"),
        ({"family": 0}, 422, "family"),
        ({"family": "crowd"}, 422, "family"),
        ({"max_seeds": 20}, 422, "max_seeds"),
        ({"candidate": "same"}, 422, "candidate"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(
    client: TestClient, state: State, wrong: dict[str, Any], status: int, field: str | None
):
    one, other = pair(client, state)
    asked = {"baseline": one, "candidate": other, "metric": "accuracy"} | wrong
    if asked["candidate"] == "same":
        asked["candidate"] = one

    answer = client.post("/api/v1/verdicts", json=asked)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field


def test_a_baseline_is_pinned_replaced_and_unpinned(client: TestClient, state: State):
    one, other = pair(client, state)
    address = "/api/v1/datasets/digits/baseline"
    assert client.get(address).status_code == 404

    pinned = client.put(address, json={"recipe_hash": one[:8]})
    assert (pinned.status_code, pinned.json()["recipe_hash"], pinned.json()["dataset"]) == (200, one, "digits")
    assert client.put(address, json={"recipe_hash": other}).json()["recipe_hash"] == other
    assert client.get(address).json()["recipe_hash"] == other

    assert client.delete(address).status_code == client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_a_baseline_of_a_folder_is_named_with_its_colon(client: TestClient, state: State):
    for split in ("train", "test"):
        for label in ("rose", "tulip"):
            place = state.settings.datasets_dir / "flowers" / split / label
            place.mkdir(parents=True)
            (place / "1.png").write_bytes(b"")
    answer = client.post("/api/v1/runs", json={"recipe": SMALL | {"dataset": {"name": "folder:flowers"}}})
    assert answer.status_code == 201, answer.text
    recipe = answer.json()["runs"][0]["recipe_hash"]

    assert client.put("/api/v1/datasets/folder:flowers/baseline", json={"recipe_hash": recipe}).status_code == 200
    assert client.get("/api/v1/datasets/folder:flowers/baseline").json()["dataset"] == "folder:flowers"


def test_a_baseline_of_another_data_set_or_unknown_is_refused(client: TestClient, state: State):
    one, _ = pair(client, state)

    other = client.put("/api/v1/datasets/cifar10/baseline", json={"recipe_hash": one})
    assert (other.status_code, other.json()["field"]) == (422, "recipe_hash")
    assert "is a recipe of digits" in other.json()["detail"]
    assert client.put("/api/v1/datasets/digits/baseline", json={"recipe_hash": "0" * 64}).status_code == 404
    assert client.put("/api/v1/datasets/digits/baseline", json={}).json()["field"] == "recipe_hash"


def test_a_group_is_pinned_and_unpinned_on_its_page(client: TestClient, state: State):
    one, other = pair(client, state)
    assert "Pin as baseline" in client.get(f"/groups/{one}").text

    assert client.post(f"/groups/{one}/pin").headers["location"] == f"/groups/{one}"
    page = client.get(f"/groups/{one}").text
    assert "Unpin baseline" in page
    assert "This is the pinned baseline of digits" in page
    assert f'<option value="{one}" selected>' in client.get(f"/groups/{other}").text

    client.post(f"/groups/{other}/unpin")  # another one is pinned
    assert client.get("/api/v1/datasets/digits/baseline").json()["recipe_hash"] == one
    client.post(f"/groups/{one}/unpin")
    assert client.get("/api/v1/datasets/digits/baseline").status_code == 404
