"""The recipe as a form and back: no knob is missing, nothing changes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.launch import form_fields
from tests.app.support.form_fields import Fields
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Blur, Crop, Cutout, CutoutSquare, Flip, Mixup, Pad, PadCrop, Rotate
from trainer.recipe.optimizer import Ema
from trainer.recipe.schedule import (
    Constant,
    CosineRestarts,
    ExpRange,
    OneCycle,
    Piecewise,
    Sine,
    Slopes,
    StepDecay,
    Triangular,
    Triangular2,
)

SCHEDULES = (Constant, Triangular, Triangular2, ExpRange, Sine, Piecewise, Slopes, StepDecay, OneCycle, CosineRestarts)
OPERATIONS = [Rotate(), Flip(), Pad(), Crop(), PadCrop(), Blur(), Cutout(), CutoutSquare()]
EVERYTHING = Recipe(augment=OPERATIONS, mixup=Mixup(), ema=Ema())
RECIPES = {
    **{name: preset.recipe for name, preset in PRESETS.items()},
    **{kind.__name__: Recipe(schedule=kind()) for kind in SCHEDULES},
    "everything": EVERYTHING,
}


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The path of every knob of a complete recipe as JSON; knots are one, and what is left out has none."""
    if path.endswith(".knots"):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    elif path not in form_fields.OPTIONAL:
        yield path


def knobs(groups: list[form_fields.Section]) -> Iterator[form_fields.Field]:
    for group in groups:
        yield from group.fields
        yield from knobs(group.sections)


def sent(recipe: Recipe) -> dict[str, str]:
    """As a browser sends the form of a recipe: a missing check box is off."""
    values = recipe.model_dump(mode="json")
    fields = {}
    for knob in knobs(form_fields.build_sections(values, {}, ["digits"])):
        if knob.kind != "check":
            fields[knob.path] = "" if knob.value is None else str(knob.value)
        elif knob.value:
            fields[knob.path] = "on"
    return fields | {f"augment.{index}.op": one["op"] for index, one in enumerate(values["augment"])}


@pytest.mark.parametrize("name", RECIPES)
def test_the_form_has_every_knob_of_the_recipe(name: str):
    values = RECIPES[name].model_dump(mode="json")
    expected = {path for path in leaves(values) if not path.endswith(".op")}

    found = [knob.path for knob in knobs(form_fields.build_sections(values, {}, ["digits"]))]

    assert len(expected) > 20
    assert set(found) == expected
    assert len(found) == len(set(found))


def test_every_knob_is_labelled_and_explained():
    found = list(knobs(form_fields.build_sections(EVERYTHING.model_dump(mode="json"), {}, ["digits"])))

    assert len(found) > 60
    for knob in found:
        assert knob.title, knob.path
        assert knob.title != knob.path
        assert knob.help.endswith((".", ")")), knob.path
        if knob.kind in {"number", "whole"}:  # a knob without limits would take anything
            assert knob.range, knob.path
        if knob.kind == "choice":
            assert str(knob.value) in knob.choices


@pytest.mark.parametrize("name", RECIPES)
def test_the_form_s_text_is_the_same_recipe_again(name: str):
    read = form_fields.parse_fields(sent(RECIPES[name]))

    assert Recipe.model_validate(read) == RECIPES[name]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_s_own_fields_are_the_same_recipe_again(client: TestClient, preset: str):
    fields = Fields(client.get("/runs/new", params={"preset": preset}).text).sent
    recipe = {key: value for key, value in fields.items() if not key.startswith(("label.", "sweep.", "preset"))}

    assert fields["preset"] == preset
    assert Recipe.model_validate(form_fields.parse_fields(recipe)) == PRESETS[preset].recipe


def test_empty_optional_fields_are_null_and_missing_boxes_are_off():
    read = form_fields.parse_fields({"dataset.train_limit": " ", "dataset.val_limit": "7", "model.identity": "on"})

    assert read["dataset"] == {"train_limit": None, "val_limit": "7"}
    assert read["model"]["identity"] is True
    assert read["optimizer"]["nesterov"] is False


def test_operations_keep_their_order_beyond_ten():
    fields = {f"augment.{index}.op": "flip" for index in range(12)} | {
        f"augment.{index}.p": f"0.{index:02d}" for index in range(12)
    }

    assert [one["p"] for one in form_fields.parse_fields(fields)["augment"]] == [
        f"0.{index:02d}" for index in range(12)
    ]


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

    after = form_fields.apply_action(before, action)

    assert [one["op"] for one in after["augment"]] == expected
    assert after["epochs"] == "3"
    assert [one["op"] for one in operations] == ["pad_crop", "flip"]


def test_the_offered_operations_are_the_recipe_s():
    assert form_fields.list_operations() == [one["op"] for one in EVERYTHING.model_dump(mode="json")["augment"]]


def test_another_kind_brings_its_own_knobs():
    values = Recipe().model_dump(mode="json") | {"schedule": {"kind": "constant", "max_lr": "0.3"}}
    paths = {knob.path for knob in knobs(form_fields.build_sections(values, {}, ["digits"]))}

    assert {"schedule.kind", "schedule.lr"} <= paths
    assert "schedule.max_lr" not in paths


def test_what_was_another_kind_s_is_forgotten_with_its_fields():
    typed = {"schedule": {"kind": "constant", "max_lr": "0.3", "lr": "x"}, "augment": [], "epochs": "3"}

    assert form_fields.apply_action(typed, "shape")["schedule"] == {"kind": "constant", "lr": "x"}
    assert form_fields.apply_action(typed, "shape")["epochs"] == "3"
    assert typed["schedule"] == {"kind": "constant", "max_lr": "0.3", "lr": "x"}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("with.mixup", {"mixup": {}, "ema": None}),
        ("with.ema", {"mixup": None, "ema": {}}),
        ("without.mixup", {"mixup": None, "ema": None}),
        ("with.schedule", {"mixup": None, "ema": None}),
        ("without.model", {"mixup": None, "ema": None}),
    ],
)
def test_only_what_may_be_left_out_is_added_and_left_out(action: str, expected: dict):
    before: dict[str, Any] = {"mixup": None, "ema": None, "augment": [], "model": {}, "schedule": {}}

    assert form_fields.apply_action(before, action) == before | expected


@pytest.mark.parametrize(("seed", "next_one"), [("7", 8), (7, 8), (2**32 - 1, 0), ("x", 0), ("", 0), ("9" * 50, 0)])
def test_another_seed_is_the_next_one_that_a_recipe_may_have(seed: Any, next_one: int):
    assert form_fields.apply_action({"seed": seed, "augment": []}, "seed")["seed"] == next_one


def test_a_part_that_is_left_out_has_no_fields_and_can_be_added():
    values = Recipe().model_dump(mode="json")
    found = {section.path: section for section in form_fields.build_sections(values, {}, [])}

    assert {path for path, section in found.items() if section.is_left_out} == form_fields.OPTIONAL == {"mixup", "ema"}
    assert found["mixup"].fields == []


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0:0, 5:0.4, 24:0", [["0", "0"], ["5", "0.4"], ["24", "0"]]),
        (" 0 : 0 ,5:.4,", [["0 ", " 0 "], ["5", ".4"]]),
        ("5", [["5"]]),
        ("1:2:3", [["1", "2", "3"]]),
        ("", []),
    ],
)
def test_knots_are_read_as_they_are_typed(typed: str, read: list):
    found = form_fields.parse_fields({"schedule.kind": "piecewise", "schedule.knots": typed})["schedule"]["knots"]

    assert [[part.strip() for part in knot] for knot in found] == [[part.strip() for part in knot] for knot in read]


def test_knots_are_shown_short_and_unchanged():
    def shown(*knots: list[Any]) -> Any:
        values = {"schedule": {"kind": "piecewise", "knots": list(knots)}}
        return next(
            knob for knob in knobs(form_fields.build_sections(values, {}, [])) if knob.path == "schedule.knots"
        ).value

    assert shown([0.0, 0.0], [5.0, 0.4], [24.0, 0.0]) == "0:0, 5:0.4, 24:0"
    assert shown([2.6, 0.1 + 0.2]) == "2.6:0.30000000000000004"
    assert shown(["x", " 1"], ["7"]) == "x:1, 7"


def test_a_mistake_in_one_knot_stands_beside_the_field_and_says_which():
    values = {"schedule": {"kind": "piecewise", "knots": [["0", "0"], ["5", "x"]]}}
    errors = {"schedule.knots.1.1": "must be a number"}

    wrong = {knob.path: knob.error for knob in knobs(form_fields.build_sections(values, errors, [])) if knob.error}

    assert wrong == {"schedule.knots": "2: must be a number"}


def test_a_wrong_value_stays_in_its_field_with_its_message():
    values = {
        "epochs": "many",
        "schedule": {"kind": "triangular", "max_lr": "-1"},
        "augment": [{"op": "flip", "p": "2"}],
    }
    errors = {"epochs": "must be a whole number", "schedule.max_lr": "must be at least 0", "augment.0.p": "too much"}

    wrong = {
        knob.path: (knob.value, knob.error)
        for knob in knobs(form_fields.build_sections(values, errors, []))
        if knob.error
    }

    assert wrong == {
        "epochs": ("many", "must be a whole number"),
        "schedule.max_lr": ("-1", "must be at least 0"),
        "augment.0.p": ("2", "too much"),
    }


def test_the_data_sets_that_are_there_are_offered_and_another_stays_visible():
    def offered(name: str) -> list[str]:
        values = {"dataset": {"name": name}}
        return next(
            k for k in knobs(form_fields.build_sections(values, {}, ["digits", "cifar10"])) if k.path == "dataset.name"
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
