"""Previews over the API: the very rates of a run, every mistake named by its path, and never a mistake of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.application import create_app
from tests.app.runs.test_api_any_body import NESTED, VALUES
from tests.app.support.api_calls import JSON, count
from tests.app.support.cast import HERE, settings_in, state_of
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.check import check_recipe
from trainer.recipe.knobs import merge
from trainer.recipe.learning_rates import learning_rates, steps_per_epoch

SCHEDULE, PICTURES, CHECK = (f"/api/v1/previews/{name}" for name in ("schedule", "augmentation", "check"))
DIGITS, CIFAR10 = 1497, 50_000  # training pictures

KINDS: list[dict[str, Any]] = [
    {"kind": "constant", "lr": 0.3},
    {"kind": "triangular", "max_lr": 0.7, "step_epochs": 1.7},
    {"kind": "triangular2", "step_epochs": 1},
    {"kind": "exp_range", "gamma": 0.99, "step_epochs": 2},
    {"kind": "sine", "step_epochs": 0.5},
    {"kind": "sine", "step_epochs": 0.5, "scale_mode": "iterations"},
    {"kind": "piecewise", "knots": [[0, 0.01], [1.5, 0.4], [6, 0]]},
    {"kind": "slopes", "rise_epochs": 2},
    {"kind": "step", "every_epochs": 1.5},
    {"kind": "one_cycle", "shape": "cosine"},
    {"kind": "cosine_restarts", "period_epochs": 0.7, "period_factor": 1.5, "peak_factor": 0.8, "fraction": 0.9},
]


def exact(recipe: Recipe, train_images: int) -> list[float]:
    return [float(rate) for rate in learning_rates(recipe, train_images)]


@pytest.mark.parametrize("schedule", KINDS, ids=lambda one: one["kind"])
def test_the_rates_are_those_of_the_run_to_the_last_bit(client: TestClient, schedule: dict):
    body = {"schedule": schedule, "epochs": 6, "batch_size": 128, "dataset": "digits"}
    recipe = Recipe.model_validate(body | {"dataset": {"name": "digits"}})

    shown = client.post(SCHEDULE, json=body).json()

    assert shown["learning_rate"] == exact(recipe, DIGITS)
    assert shown["steps_per_epoch"] == steps_per_epoch(recipe, DIGITS) == 12
    assert len(shown["learning_rate"]) == 72
    assert all(float(np.float32(rate)) == rate for rate in shown["learning_rate"])


@pytest.mark.parametrize("preset", ["quickstart", "seed-readme-fixed", "seed-notebook-small", "page-tricks"])
def test_a_preset_alone_is_previewed_whole(client: TestClient, preset: str):
    recipe = PRESETS[preset].recipe
    images = DIGITS if preset == "quickstart" else recipe.dataset.train_limit or CIFAR10

    assert client.post(SCHEDULE, json={"preset": preset}).json()["learning_rate"] == exact(recipe, images)


def test_a_recipe_is_laid_over_its_preset_and_the_parts_over_both(client: TestClient):
    body: dict[str, Any] = {
        "preset": "seed-readme-fixed",
        "recipe": {"schedule": {"max_lr": 0.2, "base_lr": 0.01}, "mixup": None, "epochs": 9},
        "schedule": {"base_lr": 0.02},
        "epochs": 3,
        "dataset": {"train_limit": 2000},
    }
    base = PRESETS["seed-readme-fixed"].recipe.model_dump(mode="json")
    recipe = Recipe.model_validate(merge(merge(base, body["recipe"]), {k: body[k] for k in ("epochs", "dataset")}))
    schedule = recipe.schedule.model_copy(update={"base_lr": 0.02})

    shown = client.post(SCHEDULE, json=body).json()["learning_rate"]

    assert shown == exact(recipe.model_copy(update={"schedule": schedule}), 2000)
    assert len(shown) == 3 * 4
    assert shown[0] == pytest.approx(0.02)


def test_a_data_set_may_be_just_its_name_and_forgets_the_other_one_s_limits(client: TestClient):
    body = {"preset": "seed-base-small", "dataset": "digits", "epochs": 1}

    assert client.post(SCHEDULE, json=body).json()["steps_per_epoch"] == 12  # 1,497 in batches of 128


KNOTS = {"kind": "piecewise", "knots": [[0, 0], [5, 0.4], [4, 0]]}
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    (SCHEDULE, {"schedule": KNOTS}, "schedule.knots.2", "must come after the knot at epoch 5"),
    (SCHEDULE, {"schedule": {"kind": "piecewise", "knots": []}}, "schedule.knots", "at least 1"),
    (SCHEDULE, {"schedule": {"kind": "saw"}}, "schedule", "must be one of"),
    (SCHEDULE, {"schedule": {"kind": "constant", "max_lr": 1}}, "schedule.max_lr", "there is no such setting"),
    (SCHEDULE, {"schedule": {"kind": "triangular", "max_lr": "0.4"}}, "schedule.max_lr", "must be a number"),
    (SCHEDULE, {"schedule": None}, "schedule", ""),
    (SCHEDULE, {"epochs": 7000}, "epochs", "210,000 steps; a preview shows at most 200,000"),
    (SCHEDULE, {"epochs": 0}, "epochs", "must be at least 1"),
    (SCHEDULE, {"batch_size": 1498, "recipe": {"last_batch": "drop"}}, "batch_size", "leaves no step for 1497"),
    (SCHEDULE, {"dataset": "folder:gone"}, "dataset.name", "there is no data set at"),
    (SCHEDULE, {"dataset": "imagenet"}, "dataset.name", "must be digits, cifar10, cifar100 or folder:NAME"),
    (SCHEDULE, {"preset": "nothing"}, "preset", "there is no preset 'nothing'"),
    (SCHEDULE, {"unknown": 1}, "unknown", "there is no such field"),
    (SCHEDULE, {"recipe": {"unknown": 1}}, "unknown", "there is no such setting"),
    (SCHEDULE, {"augment": []}, "augment", "there is no such field"),
    (PICTURES, {"augment": [{"op": "flip"}, {"op": "flip"}, {"op": "cutout", "s_h": 2}]}, "augment.2.s_h", "at most 1"),
    (PICTURES, {"augment": [{"op": "flip"}, {"op": "crop", "size": 40}]}, "augment.1.size", "cannot cut 40 pixels"),
    (PICTURES, {"augment": [{"op": "swirl"}]}, "augment.0", "must be one of"),
    (PICTURES, {"augment": "flip"}, "augment", "must be a list"),
    (PICTURES, {"mixup": {"alpha": 0}}, "mixup.alpha", "must be above 0"),
    (PICTURES, {"normalize": "0..2"}, "normalize", "must be "),
    (PICTURES, {"seed": -1}, "seed", "must be at least 0"),
    (PICTURES, {"count": 0}, "count", "greater than or equal to 1"),
    (PICTURES, {"count": 65}, "count", "less than or equal to 64"),
    (PICTURES, {"count": "3"}, "count", "integer"),
    (PICTURES, {"dataset": "cifar10"}, "dataset.name", "cifar10 is not on this machine yet"),
    (PICTURES, {"recipe": {"batch_size": 1498, "last_batch": "drop"}}, "batch_size", "leaves no step for 1497"),
    (PICTURES, {"schedule": {}}, "schedule", "there is no such field"),
    (CHECK, {"recipe": {"mixup": {"pairing": "all"}}}, "mixup.pairing", "must be 'disjoint' or 'permute'"),
    (CHECK, {"preset": 5}, "preset", "string"),
]


@pytest.mark.parametrize(("address", "body", "path", "sentence"), WRONG)
def test_a_mistake_is_refused_by_its_path(
    client: TestClient, address: str, body: dict[str, Any], path: str, sentence: str
):
    answer = client.post(address, json={"preset": "quickstart"} | body)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == path, problem
    assert sentence in problem["errors"][0]["message"]


def test_as_many_steps_as_can_be_shown_are_shown(client: TestClient):
    recipe = PRESETS["quickstart"].recipe.model_copy(update={"epochs": 6666})  # 30 steps each: 199,980

    shown = client.post(SCHEDULE, json={"preset": "quickstart", "epochs": 6666}).json()["learning_rate"]

    assert shown == exact(recipe, DIGITS)


@pytest.mark.parametrize("preset", ["quickstart", "seed-readme", "seed-crop-pad", "page-2018"])
def test_the_check_says_what_the_trainer_s_check_says(client: TestClient, preset: str):
    recipe = PRESETS[preset].recipe
    found = check_recipe(recipe, DIGITS if preset == "quickstart" else CIFAR10)

    shown = client.post(CHECK, json={"preset": preset}).json()["warnings"]

    assert [(one["code"], one["path"], one["text"], one["mend"], one["fix"]) for one in shown] == [
        (one.code, one.path, one.text, one.mend, one.fix) for one in found
    ]
    assert bool(shown) == (preset != "page-2018")


def test_a_preview_stores_nothing(client: TestClient):
    for address in (SCHEDULE, PICTURES, CHECK):
        assert client.post(address, json={"preset": "quickstart"}).status_code == 200

    assert count(client) == 0


@pytest.fixture(scope="module")
def sturdy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    state = state_of(settings_in(tmp_path_factory.mktemp("previews")))
    with TestClient(create_app(state), base_url=HERE, raise_server_exceptions=False) as made:
        yield made
    state.records.close()


OPERATIONS = [
    {"op": op} for op in ("rotate", "flip", "pad", "crop", "pad_crop", "blur", "cutout", "cutout_square", "swirl")
]
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "preset": st.sampled_from(["quickstart", "seed-readme-small", "page-tricks", "x"]) | VALUES,
    "recipe": st.dictionaries(st.sampled_from(list(Recipe.model_fields)), VALUES | NESTED, max_size=2) | VALUES,
    "dataset": st.sampled_from(["digits", "cifar10", "folder:gone", "digits\0"]) | NESTED | VALUES,
    "schedule": st.sampled_from(KINDS) | NESTED | VALUES,
    "epochs": st.integers(1, 50) | VALUES,
    "batch_size": st.integers(1, 2000) | VALUES,
    "augment": st.lists(st.sampled_from(OPERATIONS) | NESTED, max_size=4) | VALUES,
    "mixup": st.sampled_from([{}, {"pairing": "permute", "when": "after"}, {"alpha": 1e-300}]) | NESTED | VALUES,
    "normalize": st.sampled_from(["0..1", "0..127", "standardised"]) | VALUES,
    "seed": st.integers(0, 2**32 - 1) | VALUES,
    "count": st.integers(0, 3) | VALUES,
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(address=st.sampled_from([SCHEDULE, PICTURES, CHECK]), data=st.data())
def test_no_preview_is_ever_our_mistake(sturdy: TestClient, address: str, data: st.DataObject):
    keys = {
        SCHEDULE: ["preset", "recipe", "dataset", "schedule", "epochs", "batch_size"],
        PICTURES: ["preset", "recipe", "dataset", "augment", "mixup", "normalize", "seed", "count"],
        CHECK: ["preset", "recipe"],
    }[address]
    body = data.draw(st.fixed_dictionaries({}, optional={key: PARTS[key] for key in keys}) | VALUES)

    answer = sturdy.post(address, content=json.dumps(body), headers=JSON)

    assert answer.status_code in {200, 400, 422}, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
