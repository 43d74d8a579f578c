"""The recipe as a form and back: no knob is missing, nothing changes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import forms
from tests.app.form_fields import Fields
from trainer.augment.operations import Cutout, Flip, PadCrop
from trainer.presets import PRESETS
from trainer.recipe import Constant, Recipe

ALL_OPERATIONS = Recipe(augment=[PadCrop(), Flip(), Cutout()])
CONSTANT = Recipe(schedule=Constant())
RECIPES = {name: preset.recipe for name, preset in PRESETS.items()} | {"all": ALL_OPERATIONS, "constant": CONSTANT}


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The path of every knob of a complete recipe as JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    else:
        yield path


def knobs(groups: list[forms.Section]) -> Iterator[forms.Knob]:
    for group in groups:
        yield from group.knobs
        yield from knobs(group.sections)


def sent(recipe: Recipe) -> dict[str, str]:
    """As a browser sends the form of a recipe: a missing check box is off."""
    values = recipe.model_dump(mode="json")
    fields = {}
    for knob in knobs(forms.sections(values, {}, ["digits"])):
        if knob.kind != "check":
            fields[knob.path] = "" if knob.value is None else str(knob.value)
        elif knob.value:
            fields[knob.path] = "on"
    return fields | {f"augment.{index}.op": one["op"] for index, one in enumerate(values["augment"])}


@pytest.mark.parametrize("name", RECIPES)
def test_the_form_has_every_knob_of_the_recipe(name: str):
    values = RECIPES[name].model_dump(mode="json")
    expected = {path for path in leaves(values) if not path.endswith(".op")}

    found = [knob.path for knob in knobs(forms.sections(values, {}, ["digits"]))]

    assert len(expected) > 20
    assert set(found) == expected
    assert len(found) == len(set(found))


def test_every_knob_is_labelled_and_explained():
    found = list(knobs(forms.sections(ALL_OPERATIONS.model_dump(mode="json"), {}, ["digits"])))

    assert len(found) > 30
    for knob in found:
        assert knob.title, knob.path
        assert knob.title != knob.path
        assert knob.help.endswith((".", ")")), knob.path
        if knob.kind in {"number", "whole"}:
            assert knob.range, knob.path
        if knob.kind == "choice":
            assert str(knob.value) in knob.choices


@pytest.mark.parametrize("name", RECIPES)
def test_the_form_s_text_is_the_same_recipe_again(name: str):
    read = forms.from_text(sent(RECIPES[name]))

    assert Recipe.model_validate(read) == RECIPES[name]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_s_own_fields_are_the_same_recipe_again(client: TestClient, preset: str):
    fields = Fields(client.get("/runs/new", params={"preset": preset}).text).sent
    recipe = {key: value for key, value in fields.items() if not key.startswith(("label.", "preset"))}

    assert fields["preset"] == preset
    assert Recipe.model_validate(forms.from_text(recipe)) == PRESETS[preset].recipe


def test_empty_optional_fields_are_null_and_missing_boxes_are_off():
    read = forms.from_text({"dataset.train_limit": " ", "dataset.val_limit": "7", "model.identity": "on"})

    assert read["dataset"] == {"train_limit": None, "val_limit": "7"}
    assert read["model"]["identity"] is True
    assert read["optimizer"]["nesterov"] is False


def test_operations_keep_their_order_beyond_ten():
    fields = {f"augment.{index}.op": "flip" for index in range(12)} | {
        f"augment.{index}.p": f"0.{index:02d}" for index in range(12)
    }

    assert [one["p"] for one in forms.from_text(fields)["augment"]] == [f"0.{index:02d}" for index in range(12)]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("add.cutout", ["pad_crop", "flip", "cutout"]),
        ("remove.0", ["flip"]),
        ("up.1", ["flip", "pad_crop"]),
        ("down.0", ["flip", "pad_crop"]),
        ("up.0", ["pad_crop", "flip"]),
        ("down.1", ["pad_crop", "flip"]),
        ("remove.2", ["pad_crop", "flip"]),
        ("remove.-1", ["pad_crop", "flip"]),
        ("remove.x", ["pad_crop", "flip"]),
        ("up", ["pad_crop", "flip"]),
        ("shape", ["pad_crop", "flip"]),
        ("", ["pad_crop", "flip"]),
    ],
)
def test_the_buttons_of_the_list_change_its_shape(action: str, expected: list[str]):
    operations = [{"op": "pad_crop", "pad": "x"}, {"op": "flip"}]
    before = {"augment": operations, "epochs": "3"}

    after = forms.reshaped(before, action)

    assert [one["op"] for one in after["augment"]] == expected
    assert after["epochs"] == "3"
    assert [one["op"] for one in operations] == ["pad_crop", "flip"]


def test_the_offered_operations_are_the_recipe_s():
    assert forms.operations() == ["pad_crop", "flip", "cutout"]


def test_another_kind_brings_its_own_knobs():
    values = Recipe().model_dump(mode="json") | {"schedule": {"kind": "constant", "max_lr": "0.3"}}
    paths = {knob.path for knob in knobs(forms.sections(values, {}, ["digits"]))}

    assert {"schedule.kind", "schedule.lr"} <= paths
    assert "schedule.max_lr" not in paths


def test_a_wrong_value_stays_in_its_field_with_its_message():
    values = {
        "epochs": "many",
        "schedule": {"kind": "triangular", "max_lr": "-1"},
        "augment": [{"op": "flip", "p": "2"}],
    }
    errors = {"epochs": "must be a whole number", "schedule.max_lr": "must be at least 0", "augment.0.p": "too much"}

    wrong = {knob.path: (knob.value, knob.error) for knob in knobs(forms.sections(values, errors, [])) if knob.error}

    assert wrong == {
        "epochs": ("many", "must be a whole number"),
        "schedule.max_lr": ("-1", "must be at least 0"),
        "augment.0.p": ("2", "too much"),
    }


def test_the_data_sets_that_are_there_are_offered_and_another_stays_visible():
    def offered(name: str) -> list[str]:
        values = {"dataset": {"name": name}}
        return next(
            k for k in knobs(forms.sections(values, {}, ["digits", "cifar10"])) if k.path == "dataset.name"
        ).choices

    assert offered("digits") == ["digits", "cifar10"]
    assert offered("folder:gone") == ["digits", "cifar10", "folder:gone"]


@pytest.mark.parametrize(
    "field",
    [
        "schedule", "schedule.kind.x", "schedule.kind.x.y", "augment", "augment.0", "augment.x", "augment.0.op.x",
        "augment.9999.op", "augment." + "9" * 5000 + ".op", "dataset.name.x", "model.name.x", "", ".", "..", "a..b",
        ".epochs", "epochs.", "epochs.0", "unknown", "optimizer.weight_decay", "optimizer.weight_decay.kind.x",
        "augment.²", "label.x",
    ],
)  # fmt: skip
def test_a_strange_field_is_refused_and_not_our_mistake(client: TestClient, field: str):
    fields = Fields(client.get("/runs/new").text).sent
    for address in ("/runs", "/runs/new"):
        for sent_fields in (fields | {field: "1"}, {field: "1"} | fields, {field: "1"}):
            assert client.post(address, data=sent_fields).status_code in {200, 303, 400, 422}


@pytest.mark.parametrize("action", ["add.nothing", "add.", "add." + "x" * 5000, "remove." + "9" * 5000, "up.²", "\0"])
def test_a_strange_action_is_not_our_mistake(client: TestClient, action: str):
    fields = Fields(client.get("/runs/new").text).sent

    assert client.post("/runs/new", data=fields | {"do": action}).status_code in {200, 422}
