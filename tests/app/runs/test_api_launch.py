"""Launches over the API: presets, partial recipes, repeats, idempotency keys."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.support.api_calls import count, launched, paged
from tests.app.support.cast import SMALL
from trainer.presets import PRESETS
from trainer.recipe import Recipe


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
    base = PRESETS["seed-readme-fixed"].recipe.model_dump(mode="json")
    merged = recipe_of(
        client, "seed-readme-fixed", {"schedule": {"max_lr": 0.2}, "optimizer": {"weight_decay": {"value": 0}}}
    )

    assert merged["schedule"] == base["schedule"] | {"max_lr": 0.2}
    assert merged["optimizer"] == base["optimizer"] | {"weight_decay": base["optimizer"]["weight_decay"] | {"value": 0}}
    assert merged["augment"] == base["augment"]


def test_a_schedule_of_another_kind_replaces_the_whole(client: TestClient):
    merged = recipe_of(client, "seed-readme-fixed", {"schedule": {"kind": "constant"}})

    assert merged["schedule"] == {"kind": "constant", "lr": 0.1}


def test_a_schedule_of_the_same_kind_merges(client: TestClient):
    merged = recipe_of(client, "seed-readme-fixed", {"schedule": {"kind": "triangular", "base_lr": 0.01}})

    assert merged["schedule"] == {"kind": "triangular", "base_lr": 0.01, "max_lr": 0.4, "step_epochs": 4.9152}


def test_another_data_set_forgets_the_old_one_s_limits(client: TestClient):
    merged = recipe_of(client, "seed-readme-fixed-small", {"dataset": {"name": "digits"}})

    assert merged["dataset"] == {"name": "digits", "train_limit": None, "val_limit": None, "val_from_train": None}


def test_lists_replace(client: TestClient):
    assert recipe_of(client, "seed-readme-fixed", {"augment": []})["augment"] == []
    assert recipe_of(client, "seed-readme-fixed", {"augment": [{"op": "flip"}]})["augment"] == [
        {"op": "flip", "p": 0.5, "alternate": False}
    ]


def test_null_is_a_value(client: TestClient):
    merged = recipe_of(client, "seed-readme-fixed-small", {"dataset": {"train_limit": None}})

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
