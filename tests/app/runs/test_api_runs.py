"""Runs over the API: list, details, curve and log; edit, cancel, delete, clone."""

from __future__ import annotations

import itertools
from typing import Any

from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import count, launched, paged
from tests.app.support.cast import Hand, epoch, started, step, trained

# reading


def test_a_list_is_filtered(client: TestClient, state: State):
    done = trained(client, state, name="Alpha", tags=["sweep", "x"])
    waiting = launched(client, name="beta", notes="about alpha")["id"]
    cifar = client.post("/api/v1/runs", json={"preset": "seed-readme-fixed", "tags": ["sweep"]}).json()["runs"][0]["id"]
    client.post(f"/api/v1/runs/{cifar}/cancel")

    cases: list[tuple[dict[str, Any], set[int]]] = [
        ({}, {done, waiting, cifar}),
        ({"status": "succeeded"}, {done}),
        ({"status": "queued,cancelled"}, {waiting, cifar}),
        ({"status": "failed"}, set()),
        ({"dataset": "cifar10"}, {cifar}),
        ({"tag": "sweep"}, {done, cifar}),
        ({"tag": "swee"}, set()),
        ({"q": "ALPHA"}, {done, waiting}),
        ({"q": "readme-fixed"}, {cifar}),
        ({"q": "%"}, set()),
        ({"q": "_"}, set()),
        ({"tag": "sweep", "status": "succeeded", "q": "alp"}, {done}),
        ({"group": 99}, set()),
    ]
    for question, expected in cases:
        assert {run["id"] for run in paged(client, **question)} == expected, question


def test_no_run_is_missed_or_doubled_while_paging_over_ties_and_nulls(client: TestClient, state: State):
    for accuracies in [(0.5,), (0.9,), (0.5,), (None,), (0.5, 0.7), (0.95,), (0.95,)]:
        trained(client, state, accuracies, name=f"run of {accuracies[0]}")
    for _ in range(3):
        launched(client, name="same")
    everything = set(range(1, 11))

    keys = ["id", "name", "created_at", "best_val_accuracy", "last_val_accuracy", "elapsed_seconds"]
    keys += ["time_to_target", "priority"]
    for key, minus, limit in itertools.product(keys, ("", "-"), (1, 3, 10)):
        runs = list(paged(client, sort=minus + key, limit=limit))

        ids = [run["id"] for run in runs]
        assert sorted(ids) == sorted(everything), (key, minus, limit)
        values = [run[key] for run in runs if run[key] is not None]
        assert values == sorted(values, reverse=bool(minus)), (key, minus, limit)
        assert [run[key] for run in runs][len(values) :] == [None] * (10 - len(values))  # without a value: last


def test_runs_launched_while_paging_neither_repeat_nor_hide_any(client: TestClient):
    before = [launched(client)["id"] for _ in range(5)]
    seen = []
    for run in paged(client, limit=2):
        seen.append(run["id"])
        launched(client)

    assert seen == before[::-1]


def test_a_run_is_shown_with_its_attempts_and_its_step(client: TestClient, state: State):
    launched(client)
    hand = Hand(client, state)
    hand.claim()
    hand.say(started(), epoch(1, 0.4), step(15, epoch=2))

    run = client.get(f"/api/v1/runs/{hand.run}").json()
    assert (run["status"], run["attempt"], run["last_epoch"], run["best_val_accuracy"]) == ("running", 1, 1, 0.4)
    assert [(one["number"], one["worker"], one["outcome"]) for one in run["attempts"]] == [(1, "ada", None)]
    assert run["attempts"][0]["started"]["environment"]["keras"] == "3.15.1"
    assert (run["step"]["step"], run["step"]["progress"]) == (15, 0.375)

    hand.finish(exit_code=0)

    run = client.get(f"/api/v1/runs/{hand.run}").json()
    assert (run["status"], run["step"], run["attempts"][0]["exit_code"]) == ("succeeded", None, 0)
    assert run["ended_at"].endswith("Z")


def test_the_curve_is_one_row_per_epoch_with_the_clock_added_up(client: TestClient, state: State):
    run_id = trained(client, state, (0.5, None, 0.9))

    rows = client.get(f"/api/v1/runs/{run_id}/epochs").json()

    assert [(row["epoch"], row["val_accuracy"], row["elapsed_seconds"]) for row in rows] == [
        (1, 0.5, 2.0),
        (2, None, 4.0),
        (3, 0.9, 6.0),
    ]
    assert {"train_loss", "train_accuracy", "val_loss", "learning_rate", "seconds"} <= set(rows[0])


def test_a_log_is_read_from_an_offset(client: TestClient, state: State):
    run_id = launched(client)["id"]
    empty = client.get(f"/api/v1/runs/{run_id}/log")
    hand = Hand(client, state)
    hand.claim()
    hand.say(log="first line\n")
    first = client.get(f"/api/v1/runs/{run_id}/log")
    hand.say(log="größer\n")
    more = client.get(f"/api/v1/runs/{run_id}/log", params={"after": first.headers["Pitwall-Log-Next"]})

    assert (empty.status_code, empty.text) == (200, "")
    assert first.text == "first line\n"
    assert first.headers["content-type"].startswith("text/plain")
    assert more.text == "größer\n"
    assert more.headers["Pitwall-Log-Next"] == str(len("first line\ngrößer\n".encode()))
    assert client.get(f"/api/v1/runs/{run_id}/log", params={"after": 10**9}).text == ""


def test_each_attempt_has_its_own_log(client: TestClient, state: State):
    run_id = launched(client)["id"]
    hand = Hand(client, state)
    for text in ("one", "two"):
        hand.claim()
        hand.say(log=text)
        hand.finish("released")

    logs = {number: client.get(f"/api/v1/runs/{run_id}/log", params={"attempt": number}).text for number in (1, 2, 3)}
    assert logs == {1: "one", 2: "two", 3: ""}
    latest = client.get(f"/api/v1/runs/{run_id}/log")
    assert (latest.text, latest.headers["Pitwall-Attempt"]) == ("two", "2")


# changing


def test_only_name_tags_notes_and_priority_can_be_edited(client: TestClient):
    run = launched(client)
    address = f"/api/v1/runs/{run['id']}"

    edited = client.patch(address, json={"name": "new", "tags": ["t"], "notes": "n", "priority": 9})
    partly = client.patch(address, json={"tags": []})

    assert edited.status_code == 200
    shown = partly.json()
    assert (shown["name"], shown["tags"], shown["notes"], shown["priority"]) == ("new", [], "n", 9)
    wrong: list[Any] = [{"recipe": {}}, {"status": "succeeded"}, {"name": None}, {"name": " "}, {"priority": 101}, []]
    for body in wrong:
        assert client.patch(address, json=body).status_code == 422, body
    assert client.get(address).json() == shown


def test_a_run_is_cancelled_and_deleted(client: TestClient, state: State):
    run_id = launched(client)["id"]
    hand = Hand(client, state)
    hand.claim()
    hand.say(started(), log="words")
    address = f"/api/v1/runs/{run_id}"

    assert client.delete(address).status_code == 409
    assert client.post(f"{address}/cancel").json()["requested"] == "cancel"
    assert hand.beat() == "cancel"
    hand.finish("cancelled")
    assert client.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert (state.settings.data_dir / "runs" / str(run_id)).exists()
    assert client.delete(address).status_code == 204
    assert not (state.settings.data_dir / "runs" / str(run_id)).exists()
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/epochs"), ("GET", "/log")]:
        assert client.request(method, address + path).status_code == 404
    assert launched(client)["id"] > run_id


def test_a_succeeded_run_cannot_be_cancelled(client: TestClient, state: State):
    run_id = trained(client, state)

    answer = client.post(f"/api/v1/runs/{run_id}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "finished" in answer.json()["detail"]


def test_a_clone_takes_the_recipe_with_changes(client: TestClient):
    parent = launched(client, preset="quickstart", tags=["t"], priority=4)
    address = f"/api/v1/runs/{parent['id']}/clone"

    plain = client.post(address)
    changed = client.post(address, json={"recipe": {"seed": 5, "augment": []}, "name": "mine"})

    same = plain.json()["runs"][0]
    assert (plain.status_code, plain.headers["location"]) == (201, f"/api/v1/runs/{same['id']}")
    assert (same["recipe"], same["parent_id"], same["preset"]) == (parent["recipe"], parent["id"], "quickstart")
    assert (same["tags"], same["priority"]) == (["t"], 4)
    other = changed.json()["runs"][0]
    assert (other["name"], other["seed"], other["recipe"]["augment"]) == ("mine", 5, [])
    assert client.post(address, json={"recipe": {"epochs": 0}}).json()["field"] == "epochs"
    assert client.post("/api/v1/runs/99/clone").status_code == 404
    assert count(client) == 3
