"""The list of runs: sorted, filtered and paged by columns, settings and accuracies at an epoch."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import Hand, epoch, launch, started, trained

RATES = (0.3, 0.1, 0.2)


@pytest.fixture
def ran(client: TestClient, state: State) -> list[int]:
    """Three runs of two epochs, and a queued one."""
    made = []
    for number, rate in enumerate(RATES):
        recipe = {"epochs": 2, "schedule": {"kind": "constant", "lr": rate}, "model": {"identity": number == 1}}
        made.append(trained(client, state, (0.5 + number / 10, 0.9 - number / 10), recipe=recipe, name=f"run {number}"))
    return [*made, launch(state, {"mixup": {"alpha": 0.3}}, name="waits")]


def found(http: TestClient, **asked: Any) -> list[int]:
    answer = http.get("/api/v1/runs", params=asked)
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()["runs"]]


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("recipe.schedule.lr", [1, 2, 0]),
        ("best_val_accuracy", [1, 2, 0]),
        ("last_val_accuracy", [2, 1, 0]),
        ("val_accuracy@1", [0, 1, 2]),
        ("val_accuracy@2", [2, 1, 0]),
        ("ended_at", [0, 1, 2]),
    ],
)
def test_runs_are_sorted_by_any_column_and_those_without_a_value_come_last(
    client: TestClient, ran: list[int], key: str, order: list[int]
):
    if key == "best_val_accuracy":  # 0.9, 0.8, 0.7
        order = [2, 1, 0]
    rising = [ran[at] for at in order]
    assert found(client, sort=key) == [*rising, ran[3]]
    assert found(client, sort=f"-{key}") == [*reversed(rising), ran[3]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("recipe.schedule.lr>=0.2", {0, 2}),
        ("recipe.schedule.lr<0.2", {1}),
        ("recipe.schedule.lr=0.3", {0}),
        ("recipe.schedule.lr!=0.3", {1, 2, 3, 4, 5}),  # another schedule has another rate
        ("best_val_accuracy!=0.7", {0, 1, 3, 4, 5}),
        ("recipe.schedule.lr>0.1", {0, 2}),
        ("recipe.schedule.lr<=0.1", {1}),
        ("recipe.model.identity=true", {1}),
        ("recipe.schedule.kind=constant", {0, 1, 2}),
        ("recipe.mixup.alpha!=null", {3}),
        ("recipe.mixup.alpha=null", {0, 1, 2}),
        ("best_val_accuracy=null", {3}),
        ("val_accuracy@1>0.55", {1, 2}),
        ("status=queued", {3}),
        ("created_at>2020-01-01T00:00+00:00", {0, 1, 2, 3}),
        ("name = waits", {3}),
        ("name=true", {4}),
        ("name=1e5", {5}),
        ('name="run 1"', {1}),
        ("ended_at=null", {3, 4, 5}),
        ("ended_at!=null", {0, 1, 2}),
    ],
)
def test_a_condition_filters_runs(client: TestClient, state: State, ran: list[int], where: str, expected: set[int]):
    ran += [launch(state, name=name) for name in ("true", "1e5")]
    expected |= {4, 5} if where.startswith("created_at") else set()
    if where in ("recipe.mixup.alpha=null", "best_val_accuracy=null", "status=queued"):
        expected |= {4, 5}
    assert set(found(client, where=where)) == {ran[at] for at in expected}


def test_all_conditions_must_hold(client: TestClient, ran: list[int]):
    assert found(client, where=["recipe.schedule.lr>=0.2", "val_accuracy@1>0.55"]) == [ran[2]]


@pytest.mark.parametrize(
    "sort", ["-id", "id", "name", "-recipe.schedule.lr", "best_val_accuracy", "-val_accuracy@1", "seed"]
)
def test_pages_show_every_run_once(client: TestClient, state: State, ran: list[int], sort: str):
    for number in range(4):
        launch(state, name=f"more {number}")
    seen: list[int] = []
    asked: dict[str, Any] = {"sort": sort, "limit": 3}
    while True:
        page = client.get("/api/v1/runs", params=asked).json()
        seen += [run["id"] for run in page["runs"]]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert seen == found(client, sort=sort)
    assert len(seen) == len(set(seen)) == 8


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"sort": "luck"}, "sort"),
        ({"sort": "recipe.luck"}, "sort"),
        ({"sort": "recipe.schedule"}, "sort"),
        ({"sort": "val_accuracy@0"}, "sort"),
        ({"sort": "val_accuracy@x"}, "sort"),
        ({"sort": "recipe.schedule.lr'); DROP TABLE runs; --"}, "sort"),
        ({"where": "luck"}, "where"),
        ({"where": "luck=1"}, "where"),
        ({"where": "seed<null"}, "where"),
        ({"where": "best_val_accuracy>94%"}, "where"),
        ({"where": "val_accuracy@1=good"}, "where"),
        ({"cursor": base64.urlsafe_b64encode(b'["x", true, 1]').decode()}, "cursor"),
        ({"where": "created_at>yesterday"}, "where"),
        ({"where": "created_at>2026-01-01"}, "where"),
        ({"where": "created_at>0001-01-01T00:00+14:00"}, "where"),
        ({"where": 'name="\\ud800"'}, "where"),
        ({"sort": "recipe.augment.٣.p"}, "sort"),
        ({"sort": "val_accuracy@٣"}, "sort"),
        ({"cursor": "bHVjaw"}, "cursor"),
    ],
)
def test_an_invalid_query_names_the_parameter(client: TestClient, ran: list[int], asked: dict[str, str], field: str):
    answer = client.get("/api/v1/runs", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_an_unknown_key_is_answered_with_the_keys_that_work_there(client: TestClient):
    """`left` can be shown, but neither sorted nor filtered by."""
    for asked in ("sort=x", "where=x>1"):
        assert " left," not in client.get(f"/api/v1/runs?{asked}").json()["detail"]
    assert " left," in client.get("/api/v1/runs.csv?column=x").json()["detail"]


def test_long_names_of_other_alphabets_and_times_are_paged(client: TestClient, state: State):
    runs = [launch(state, name="ä" * 199 + letter) for letter in "abc"]
    for sort in ("name", "created_at"):
        page = client.get("/api/v1/runs", params={"sort": sort, "limit": 2}).json()
        assert [run["id"] for run in page["runs"]] == runs[:2]
        assert found(client, sort=sort, limit=2, cursor=page["next_cursor"]) == runs[2:]


def test_an_accuracy_is_that_of_the_curve_that_is_shown(client: TestClient, state: State):
    hand = Hand(client, state)
    run = launch(state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.9))
    hand.finish("failed", exit_code=1, reason="x")
    client.post(f"/api/v1/runs/{run}/retry", json={"from": "scratch"}).raise_for_status()
    assert found(client, where="val_accuracy@1>0.5") == []


def test_a_cursor_belongs_to_its_query(client: TestClient, ran: list[int]):
    cursor = client.get("/api/v1/runs", params={"sort": "name", "limit": 2}).json()["next_cursor"]
    for other in ({"sort": "-name"}, {"sort": "name", "q": "run"}, {"sort": "name", "where": "seed=0"}):
        answer = client.get("/api/v1/runs", params={**other, "limit": "2", "cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor")
    assert len(client.get("/api/v1/runs", params={"sort": "name", "limit": 50, "cursor": cursor}).json()["runs"]) == 2
