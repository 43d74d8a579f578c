"""JSON under /api/v1 as scripts meet it: the verbs, and what happens to what they get wrong."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.state import State
from app.web import create_app
from tests.app.cast import HERE, SMALL, Hand, epoch, settings_in, started, state_of, step, trained
from trainer.presets import PRESETS
from trainer.recipe import Recipe

JSON = {"Content-Type": "application/json"}


def launched(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/runs", json={"recipe": SMALL} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["runs"][0])


def count(client: TestClient) -> int:
    return sum(1 for _ in paged(client, limit=500))


def paged(client: TestClient, **question: Any) -> Iterator[dict[str, Any]]:
    """Every run of a list, page after page."""
    for page in itertools.count():
        answer = client.get("/api/v1/runs", params=question)
        assert answer.status_code == 200, answer.text
        yield from answer.json()["runs"]
        question["cursor"] = answer.json()["next_cursor"]
        if question["cursor"] is None:
            return
        assert page < 100


# launching


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_launched_as_it_is(client: TestClient, preset: str):
    answer = client.post("/api/v1/runs", json={"preset": preset})

    run = answer.json()["runs"][0]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert run["recipe"] == PRESETS[preset].recipe.model_dump(mode="json")
    assert (run["preset"], run["preset_version"], run["status"]) == (preset, PRESETS[preset].version, "queued")
    assert client.get(answer.headers["location"]).json()["id"] == run["id"]


def test_an_empty_body_launches_the_defaults(client: TestClient):
    run = client.post("/api/v1/runs", json={}).json()["runs"][0]

    assert run["recipe"] == Recipe().model_dump(mode="json")
    assert (run["preset"], run["name"]) == (None, "resnet9 digits seed 0")


def test_labels_are_kept_trimmed_and_change_no_hash(client: TestClient):
    run = launched(client, name="  Ada's run ", tags=[" a ", "b"], notes="two\nlines", priority=-3)
    plain = launched(client)

    assert (run["name"], run["tags"], run["notes"], run["priority"]) == ("Ada's run", ["a", "b"], "two\nlines", -3)
    assert run["recipe_hash"] == plain["recipe_hash"]


@pytest.mark.parametrize("text", ["Grüße 🏎", "日本語", "a'b\"c<d>&e", "%s {x} \\n", "\u202ertl", "x" * 200])
def test_any_printable_text_is_a_name(client: TestClient, text: str):
    run = launched(client, name=text, tags=[text[:40]], notes=text)

    shown = client.get(f"/api/v1/runs/{run['id']}").json()
    assert (shown["name"], shown["tags"], shown["notes"]) == (text, [text[:40].strip()], text)


def recipe_of(client: TestClient, preset: str, partial: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/api/v1/runs", json={"preset": preset, "recipe": partial})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["runs"][0]["recipe"])


def test_a_partial_recipe_merges_key_by_key(client: TestClient):
    base = PRESETS["resnet9"].recipe.model_dump(mode="json")
    merged = recipe_of(client, "resnet9", {"schedule": {"max_lr": 0.2}, "optimizer": {"weight_decay": {"value": 0}}})

    assert merged["schedule"] == base["schedule"] | {"max_lr": 0.2}
    assert merged["optimizer"] == base["optimizer"] | {"weight_decay": base["optimizer"]["weight_decay"] | {"value": 0}}
    assert merged["augment"] == base["augment"]


def test_a_schedule_of_another_kind_replaces_the_whole(client: TestClient):
    merged = recipe_of(client, "resnet9", {"schedule": {"kind": "constant"}})

    assert merged["schedule"] == {"kind": "constant", "lr": 0.1}


def test_a_schedule_of_the_same_kind_merges(client: TestClient):
    merged = recipe_of(client, "resnet9", {"schedule": {"kind": "triangular", "base_lr": 0.01}})

    assert merged["schedule"] == {"kind": "triangular", "base_lr": 0.01, "max_lr": 0.4, "step_epochs": 4}


def test_another_data_set_forgets_the_old_one_s_limits(client: TestClient):
    merged = recipe_of(client, "resnet9-small", {"dataset": {"name": "digits"}})

    assert merged["dataset"] == {"name": "digits", "train_limit": None, "val_limit": None, "val_from_train": None}


def test_lists_replace(client: TestClient):
    assert recipe_of(client, "resnet9", {"augment": []})["augment"] == []
    assert recipe_of(client, "resnet9", {"augment": [{"op": "flip"}]})["augment"] == [{"op": "flip", "p": 0.5}]


def test_null_is_a_value(client: TestClient):
    merged = recipe_of(client, "resnet9-small", {"dataset": {"train_limit": None}})

    assert merged["dataset"]["train_limit"] is None
    assert merged["dataset"]["val_limit"] == 1000


def test_repeats_take_the_following_seeds_and_make_a_group(client: TestClient):
    answer = client.post("/api/v1/runs", json={"recipe": SMALL | {"seed": 7}, "repeats": 3, "name": "thrice"})

    runs = answer.json()["runs"]
    assert [run["seed"] for run in runs] == [run["recipe"]["seed"] for run in runs] == [7, 8, 9]
    assert {run["group_id"] for run in runs} == {runs[0]["id"]}
    assert len({run["recipe_hash"] for run in runs}) == 1
    assert [run["id"] for run in paged(client, group=runs[0]["id"], sort="id")] == [run["id"] for run in runs]
    assert launched(client)["group_id"] is None


def test_repeats_beyond_the_last_seed_are_refused_whole(client: TestClient):
    answer = client.post("/api/v1/runs", json={"recipe": {"seed": 2**32 - 2}, "repeats": 3})

    assert (answer.status_code, answer.json()["field"]) == (422, "repeats")
    assert count(client) == 0


def test_the_same_key_and_body_launch_only_once(client: TestClient):
    headers = {"Idempotency-Key": "sweep-1"}
    first = client.post("/api/v1/runs", json={"recipe": SMALL, "repeats": 2}, headers=headers)
    again = client.post("/api/v1/runs", json={"recipe": SMALL, "repeats": 2}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert count(client) == 2


def test_the_same_key_with_another_body_is_refused(client: TestClient):
    headers = {"Idempotency-Key": "sweep-1"}
    client.post("/api/v1/runs", json={"recipe": SMALL}, headers=headers)
    other = client.post("/api/v1/runs", json={"recipe": SMALL, "name": "x"}, headers=headers)

    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    assert count(client) == 1


def test_a_key_whose_launch_was_refused_can_be_used_again(client: TestClient):
    headers = {"Idempotency-Key": "sweep-1"}
    assert client.post("/api/v1/runs", json={"preset": "nothing"}, headers=headers).status_code == 422
    assert client.post("/api/v1/runs", json={"recipe": SMALL}, headers=headers).status_code == 201


# reading


def test_a_list_is_filtered(client: TestClient, state: State):
    done = trained(client, state, name="Alpha", tags=["sweep", "x"])
    waiting = launched(client, name="beta", notes="about alpha")["id"]
    cifar = client.post("/api/v1/runs", json={"preset": "resnet9", "tags": ["sweep"]}).json()["runs"][0]["id"]
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
        ({"q": "resnet9"}, {cifar}),
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


def test_runs_that_are_launched_while_somebody_pages_neither_repeat_nor_hide_any(client: TestClient):
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


def test_a_log_is_read_from_where_the_reader_is(client: TestClient, state: State):
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


def test_labels_can_be_edited_and_nothing_else(client: TestClient):
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


def test_what_has_succeeded_cannot_be_cancelled(client: TestClient, state: State):
    run_id = trained(client, state)

    answer = client.post(f"/api/v1/runs/{run_id}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "succeeded" in answer.json()["detail"]


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


# what there is


def test_presets_datasets_and_the_schema_are_listed(client: TestClient, state: State):
    (state.settings.datasets_dir / "pets").mkdir(parents=True)

    presets = client.get("/api/v1/presets").json()
    datasets = {one["name"]: one for one in client.get("/api/v1/datasets").json()}
    schema = client.get("/api/v1/recipe-schema").json()

    assert [preset["name"] for preset in presets] == list(PRESETS)
    assert all(Recipe.model_validate(preset["recipe"]) for preset in presets)
    assert datasets["digits"]["available"] is True
    assert datasets["cifar10"]["available"] is False
    assert {"digits", "cifar10", "cifar100"} <= set(datasets)
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False


def test_workers_are_listed_with_what_they_do(client: TestClient, state: State):
    assert client.get("/api/v1/workers").json() == []
    Hand(client, state, "idle").claim()
    run_id = launched(client)["id"]
    Hand(client, state, "busy").claim()

    workers = {one["name"]: one for one in client.get("/api/v1/workers").json()}
    assert set(workers) == {"idle", "busy"}
    assert (workers["busy"]["run"], workers["idle"]["run"]) == (run_id, None)
    assert workers["busy"]["present"] is True
    assert workers["busy"]["backends"] == ["tensorflow"]


def test_health_is_told_to_machines(client: TestClient, state: State):
    trained(client, state)

    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    figures = client.get("/metrics").text
    assert 'pitwall_runs{status="succeeded"} 1.0' in figures
    assert 'pitwall_runs{status="queued"} 0.0' in figures
    assert "pitwall_streams_open 0.0" in figures


def test_openapi_has_readable_and_unique_operation_ids(client: TestClient):
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    found = [operation["operationId"] for path in paths.values() for operation in path.values()]

    assert len(found) > 18
    assert len(set(found)) == len(found)
    assert all(name.isascii() and name.replace("_", "").isalpha() and len(name) < 30 for name in found)
    assert {"launch_runs", "list_runs", "get_run", "cancel_run", "claim_run"} <= set(found)
    assert "/runs/new" not in paths


def test_a_claim_that_waits_gets_a_run_as_soon_as_there_is_one(client: TestClient, state: State):
    body = {"worker": "ada", "device": "cpu", "backends": ["tensorflow"], "wait_s": 20}
    headers = {"Authorization": f"Bearer {state.tokens.worker}"}
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(client.post("/api/v1/worker/claim", json=body, headers=headers))
    )
    waiting.start()
    run_id = launched(client)["id"]
    waiting.join(10)

    assert [(answer.status_code, answer.json()["run"]) for answer in answers] == [(200, run_id)]
    assert client.get("/api/v1/workers").json()[0]["present"] is True


# bad input


BAD: list[tuple[str, Any, str]] = [
    ("an unknown key", {"recipee": {}}, "recipee"),
    ("an unknown knob", {"recipe": {"epoch": 3}}, "epoch"),
    ("an unknown knob inside", {"recipe": {"schedule": {"lr": 0.1}}}, "schedule.lr"),
    ("too small", {"recipe": {"epochs": 0}}, "epochs"),
    ("too large", {"recipe": {"batch_size": 16_385}}, "batch_size"),
    ("negative", {"recipe": {"optimizer": {"momentum": -0.1}}}, "optimizer.momentum"),
    ("a huge whole number", {"recipe": {"seed": 10**30}}, "seed"),
    ("a huge priority", {"priority": 10**30}, "priority"),
    ("text for a number", {"recipe": {"epochs": "3"}}, "epochs"),
    ("a fraction for a whole number", {"recipe": {"epochs": 2.5}}, "epochs"),
    ("true for a number", {"recipe": {"epochs": True}}, "epochs"),
    ("a number for a switch", {"recipe": {"model": {"identity": 1}}}, "model.identity"),
    ("null for a number", {"recipe": {"epochs": None}}, "epochs"),
    ("a list for an object", {"recipe": {"schedule": []}}, "schedule"),
    ("text for a list", {"recipe": {"augment": "flip"}}, "augment"),
    ("a list for a recipe", {"recipe": []}, "recipe"),
    ("null for a recipe", {"recipe": None}, "recipe"),
    ("an unknown data set", {"recipe": {"dataset": {"name": "imagenet"}}}, "dataset.name"),
    ("a folder that is not there", {"recipe": {"dataset": {"name": "folder:pets"}}}, "dataset.name"),
    ("a folder outside", {"recipe": {"dataset": {"name": "folder:../../etc"}}}, "dataset.name"),
    ("a folder with a newline", {"recipe": {"dataset": {"name": "digits\n"}}}, "dataset.name"),
    ("more held out than there is", {"recipe": {"dataset": {"val_from_train": 1497}}}, "dataset.val_from_train"),
    ("an unknown preset", {"preset": "best"}, "preset"),
    ("an unknown kind", {"recipe": {"schedule": {"kind": "cosinus"}}}, "schedule"),
    ("an unknown operation", {"recipe": {"augment": [{"op": "flip"}, {"op": "spin"}]}}, "augment.1"),
    ("an operation without a name", {"recipe": {"augment": [{"p": 0.5}]}}, "augment.0"),
    ("a wrong knob of an operation", {"recipe": {"augment": [{"op": "flip", "p": 2}]}}, "augment.0.p"),
    ("too many operations", {"recipe": {"augment": [{"op": "flip"}] * 17}}, "augment"),
    ("a peak below the base", {"recipe": {"schedule": {"base_lr": 1, "max_lr": 0.5}}}, "schedule.max_lr"),
    ("a range upside down", {"recipe": {"augment": [{"op": "cutout", "s_l": 0.5}]}}, "augment.0.s_h"),
    ("a name that is too long", {"name": "x" * 201}, "name"),
    ("a name of two lines", {"name": "a\nb"}, "name"),
    ("NUL in a name", {"name": "a\0b"}, "name"),
    ("a control character in a name", {"name": "a\x1bb"}, "name"),
    ("DEL in a tag", {"tags": ["a\x7f"]}, "tags.0"),
    ("NUL in the notes", {"notes": "\0"}, "notes"),
    ("notes that are too long", {"notes": "x" * 20_001}, "notes"),
    ("an empty tag", {"tags": [" "]}, "tags.0"),
    ("too many tags", {"tags": ["t"] * 21}, "tags"),
    ("a number as a tag", {"tags": [1]}, "tags.0"),
    ("no repeats", {"repeats": 0}, "repeats"),
    ("too many repeats", {"repeats": 101}, "repeats"),
    ("text for repeats", {"repeats": "2"}, "repeats"),
    ("a lone surrogate in a name", {"name": "a\ud800"}, "name"),
    ("a lone surrogate in a tag", {"tags": ["\ud800"]}, "tags.0"),
    ("a lone surrogate in the notes", {"notes": "\udfff"}, "notes"),
    ("a lone surrogate in a preset", {"preset": "\ud800"}, "preset"),
    ("a lone surrogate as a key", {"\ud800": 1}, ""),
    ("a lone surrogate as a knob", {"recipe": {"\ud800": 1}}, ""),
    ("a lone surrogate in a recipe", {"recipe": {"dataset": {"name": "\ud800"}}}, "dataset.name"),
    ("a lone surrogate deep in a recipe", {"recipe": {"model": {"\udc00": ["\ud800"]}}}, ""),
]


@pytest.mark.parametrize(("what", "body", "field"), BAD, ids=[what for what, _, _ in BAD])
def test_a_wrong_field_is_named_and_nothing_is_stored(client: TestClient, what: str, body: Any, field: str):
    answer = client.post("/api/v1/runs", content=json.dumps(body), headers=JSON)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (422, "about:blank")
    assert problem["errors"]
    assert all(error["message"] for error in problem["errors"])
    if field:
        assert problem["field"] == field
        assert field in problem["detail"]
    assert count(client) == 0


def test_every_mistake_is_named_not_only_the_first(client: TestClient):
    answer = client.post("/api/v1/runs", json={"recipe": {"epochs": 0, "seed": -1, "model": {"width": 1}}})

    assert {error["field"] for error in answer.json()["errors"]} == {"epochs", "seed", "model.width"}


@pytest.mark.parametrize(
    ("what", "content", "status"),
    [
        ("broken JSON", b'{"name": ', 400),
        ("not JSON", b"name=x", 400),
        ("not UTF-8", b'{"name": "\xff"}', 400),
        ("two bodies", b"{}{}", 400),
        ("text", b'"text"', 422),
        ("a number", b"3", 422),
        ("null", b"null", 422),
        ("a list", b"[]", 422),
        ("NaN", b'{"recipe": {"target_accuracy": NaN}}', 422),
        ("Infinity", b'{"recipe": {"schedule": {"max_lr": Infinity}}}', 422),
        ("a number beyond all floats", b'{"recipe": {"schedule": {"max_lr": 1e999}}}', 422),
        ("NaN as priority", b'{"priority": NaN}', 422),
        ("a number of 5,000 digits", b'{"recipe": {"seed": ' + b"9" * 5000 + b"}}", 400),
        ("nothing", b"", 422),
    ],
)
def test_a_broken_body_is_refused_and_nothing_is_stored(client: TestClient, what: str, content: bytes, status: int):
    answer = client.post("/api/v1/runs", content=content, headers=JSON)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert count(client) == 0


@pytest.mark.parametrize("depth", [10, 150, 300, 700, 5_000, 100_000])
def test_deep_nesting_is_refused(client: TestClient, depth: int):
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        content = '{"recipe": {"a": ' + opening * depth + "1" + closing * depth + "}}"
        answer = client.post("/api/v1/runs", content=content, headers=JSON)

        assert answer.status_code in {400, 422}, answer.text
    assert count(client) == 0


def test_a_body_over_a_mebibyte_is_refused_with_and_without_a_length(client: TestClient):
    large = b'{"notes": "' + b"x" * (1024 * 1024) + b'"}'
    chunks = (large[start : start + 65_536] for start in range(0, len(large), 65_536))

    for content in (large, chunks):
        answer = client.post("/api/v1/runs", content=content, headers=JSON)
        assert answer.status_code == 413, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert count(client) == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_another_content_type_is_refused(client: TestClient, kind: str):
    answer = client.post("/api/v1/runs", content=b"{}", headers={"Content-Type": kind})

    assert answer.status_code == 415
    assert count(client) == 0


def test_a_body_without_a_content_type_is_refused(client: TestClient):
    assert client.post("/api/v1/runs", content=b"{}").status_code == 415


@pytest.mark.parametrize("run_id", ["x", "-1", "0", "1.5", str(10**30), "9" * 5000, "1e3", "%00", "1%20or%201", "٣"])
def test_an_id_that_is_none_is_not_found(client: TestClient, run_id: str):
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/clone")]:
        body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        answer = client.request(method, f"/api/v1/runs/{run_id}{path}", **body)

        assert answer.status_code == 404, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"status": "done"}, "status"),
        ({"status": "queued,"}, "status"),
        ({"sort": "recipe"}, "sort"),
        ({"sort": "--id"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"group": 0}, "group"),
        ({"group": 10**30}, "group"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "W10"}, "cursor"),  # []
        ({"cursor": "WzEsMiwzXQ"}, "cursor"),  # [1,2,3]
        ({"cursor": "WzEsIjIiXQ"}, "cursor"),  # [1,"2"]
        ({"cursor": "WzEsMTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMF0"}, "cursor"),  # [1, 10**27]
        ({"cursor": "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLDFd"}, "cursor"),  # [10**28, 1]
        ({"cursor": "WyJcdWQ4MDAiLDFd", "sort": "name"}, "cursor"),  # ["\ud800", 1]
        ({"cursor": "WyJ4IiwxXQ", "sort": "created_at"}, "cursor"),  # ["x", 1]
        ({"cursor": "W3t9LDFd"}, "cursor"),  # [{}, 1]
        ({"q": "x" * 201}, "q"),
    ],
)
def test_a_wrong_question_is_named(client: TestClient, question: dict[str, Any], field: str):
    launched(client)
    answer = client.get("/api/v1/runs", params=question)

    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field


def test_an_address_or_method_that_is_none_answers_in_the_same_form(client: TestClient):
    for method, address, status in [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/runs", 405)]:
        answer = client.request(method, address)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_worker_s_reports_are_checked_too(client: TestClient, state: State):
    launched(client)
    hand = Hand(client, state)
    hand.claim()

    bad: list[dict[str, Any]] = [
        {"first_seq": -1},
        {"first_seq": 2**62},
        {"log_offset": -1},
        {"events": [{"event": "epoch", "epoch": 0}]},
        {"events": [epoch(1) | {"seconds": -1}]},
        {"events": "x"},
        {"unknown": 1},
        {"log": 3},
        {"log": "\ud800"},
    ]
    for body in bad:
        assert hand.post("report", **body).status_code == 422, body
    assert hand.post("finish", outcome="paused").status_code == 422
    assert hand.post("finish", outcome="failed", reason="x" * 4001).status_code == 422
    assert client.get(f"/api/v1/runs/{hand.run}").json()["status"] == "starting"


@pytest.mark.parametrize(
    "said",
    [
        epoch(10**30),
        epoch(2**63),
        epoch(1, 0.5, seconds=1e400),
        started(environment={"device": "\ud800"}),
        started(resumed_from_epoch=10**30),
        epoch(1) | {"more": "\ud800"},
        epoch(1) | {"learning_rate": float("nan")},
    ],
    ids=["huge epoch", "just too large", "endless", "surrogate", "huge resume", "unknown surrogate", "no rate"],
)
def test_a_strange_event_never_breaks_the_run_s_page(client: TestClient, state: State, said: dict[str, Any]):
    launched(client)
    hand = Hand(client, state)
    hand.claim()

    answer = hand.post("report", first_seq=0, events=[started(), said] if said["event"] != "started" else [said])

    assert answer.status_code in {200, 422}, answer.text
    for address in ("/api/v1/runs/1", "/api/v1/runs/1/epochs", "/runs/1", "/api/v1/runs", "/"):
        assert client.get(address).status_code == 200


# whatever comes


@pytest.fixture(scope="module")
def sturdy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    state = state_of(settings_in(tmp_path_factory.mktemp("sturdy")))
    with TestClient(create_app(state), base_url=HERE, raise_server_exceptions=False) as made:
        yield made
    state.records.close()


TEXTS = st.text(st.characters(), max_size=20)  # surrogates and control characters included
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
KNOBS = st.sampled_from([*Recipe.model_fields, "unknown"])
NESTED = st.dictionaries(st.sampled_from(["name", "kind", "op", "width", "p", "max_lr", "value"]) | TEXTS, VALUES)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from([*PRESETS, "x"]) | VALUES,
        "recipe": st.dictionaries(KNOBS, VALUES | NESTED | st.lists(NESTED, max_size=3), max_size=4) | VALUES,
        "name": TEXTS | VALUES,
        "tags": st.lists(TEXTS, max_size=3) | VALUES,
        "notes": TEXTS | VALUES,
        "repeats": st.integers(0, 3) | VALUES,
        "priority": st.integers(-200, 200) | VALUES,
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body=BODIES | VALUES)
def test_no_body_is_ever_our_mistake(sturdy: TestClient, body: Any):
    answer = sturdy.post("/api/v1/runs", content=json.dumps(body), headers=JSON | {"Idempotency-Key": "k" * 8})

    assert answer.status_code in {201, 400, 422}, answer.text
    if answer.status_code != 201:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    else:
        assert sturdy.get(answer.headers["location"]).status_code == 200
        Recipe.model_validate(answer.json()["runs"][0]["recipe"])
