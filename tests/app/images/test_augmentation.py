"""Picture n of a preview is picture n of epoch 1: the same bytes that the trainer prepares for its steps."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from app.web.deps import State
from tests.app.support.small_data import made
from trainer.augment.loader_pool import LoaderPool
from trainer.augment.normalisation import to_uint8
from trainer.augment.selections import Selection, batch_labels, list_selections
from trainer.data import datasets
from trainer.recipe import Recipe

COUNT = 10

OPERATIONS = [
    {"op": "rotate"}, {"op": "pad_crop"}, {"op": "flip"}, {"op": "blur", "p": 1, "sigma_h": 2}, {"op": "cutout"}
]  # fmt: skip

# what is changed of the recipe; the trainer's own batches are the measure of each
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "another seed": {"seed": 7},
    "nothing done": {"augment": []},
    "standardised": {"normalize": "standardised"},
    "0..127": {"normalize": "0..127", "augment": [{"op": "cutout", "p": 1, "v_h": 127}]},
    "0..255": {"normalize": "0..255", "augment": [{"op": "cutout_square", "size": 12, "value": 255}]},
    "sizes change": {"augment": [{"op": "pad", "pad": 6}, {"op": "rotate"}, {"op": "crop", "size": 32}]},
    "erased first": {"augment": [{"op": "cutout", "p": 1}, {"op": "flip", "p": 1}]},
    "mixup disjoint before": {"mixup": {}, "batch_size": 8},
    "mixup disjoint after": {"mixup": {"when": "after"}, "batch_size": 8},
    "mixup permute before": {"mixup": {"pairing": "permute", "alpha": 1}, "normalize": "standardised"},
    "mixup permute after": {"mixup": {"pairing": "permute", "when": "after", "alpha": 1}},
    "once": {"augment_when": "once"},
    "once, mixup after": {"augment_when": "once", "mixup": {"when": "after", "pairing": "permute"}},
    "batches of 3": {"batch_size": 3},
    "batches of 3, mixup": {"batch_size": 3, "mixup": {"pairing": "permute", "alpha": 1}},
    "limited": {"train_limit": 12},
    "held out": {"val_from_train": 5},
    "fewer than asked for": {"train_limit": 7},
}


EVERY = list(itertools.product(CASES, ["digits", "cifar10", "folder:pets"]))


def thorough_but_for(case: str, name: str) -> list[pytest.MarkDecorator]:
    """Every case of digits and one of each other data set are always tried."""
    return [] if name == "digits" or case == "mixup permute after" else [pytest.mark.thorough]


def recipe_of(name: str, changes: dict[str, Any]) -> Recipe:
    limits = {key: value for key, value in changes.items() if key in {"train_limit", "val_from_train"}}
    others = {key: value for key, value in changes.items() if key not in limits}
    if name == "folder:pets" and "batch_size" not in others:
        others["batch_size"] = 5  # it has ten pictures
    return Recipe.model_validate({"augment": OPERATIONS, "batch_size": 16, "dataset": {"name": name} | limits} | others)


def previewed(client: TestClient, recipe: Recipe, count: int = COUNT) -> list[dict[str, Any]]:
    body = {"recipe": recipe.model_dump(mode="json"), "count": count}
    answer = client.post("/api/v1/previews/augmentation", json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["pictures"])


def decoded(png: str) -> NDArray[np.uint8]:
    head, content = png.split(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert (picture.format, picture.mode) == ("PNG", "RGB")
    return np.asarray(picture)


def trained_on(recipe: Recipe, data: datasets.Data, epoch: int, alone: bool = False) -> Iterator[tuple[int, Any, Any]]:
    """(number, label, picture as bytes) of every place of an epoch, as the trainer's crew prepares its batches."""
    with LoaderPool(recipe, data.train_images, 0) as crew:
        if recipe.augment_when == "once":
            crew.change_once(lambda: False)
        for selection in list_selections(recipe, len(data.train_labels), epoch):
            labels = batch_labels(selection, data.train_labels, len(data.classes))
            batch = crew.prepare(epoch, Selection(selection.pictures) if alone else selection).result()
            bytes_ = to_uint8(batch, crew.pipeline.scale, crew.pipeline.shift)
            yield from zip(selection.pictures.tolist(), labels, bytes_, strict=True)


@pytest.mark.parametrize(("case", "name"), [pytest.param(*one, marks=thorough_but_for(*one)) for one in EVERY])
def test_picture_n_is_picture_n_of_epoch_1(client: TestClient, state: State, name: str, case: str):
    root = state.settings.datasets_dir
    recipe = recipe_of(made(name, root), CASES[case])
    if name == "folder:pets" and recipe.mixup and recipe.mixup.pairing == "disjoint":
        recipe = recipe.model_copy(update={"batch_size": 2})
    data = datasets.load(recipe.dataset, root, print)
    expected = list(trained_on(recipe, data, 1))[:COUNT]

    pictures = previewed(client, recipe)

    assert [one["number"] for one in pictures] == [number for number, _, _ in expected]
    assert len(pictures) == min(COUNT, len(expected)) > 1
    for one, (number, label, picture) in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(decoded(one["after"]), picture)
        np.testing.assert_array_equal(decoded(one["before"]), data.train_images[number])
        shares = label if recipe.mixup else np.eye(len(data.classes))[label]
        assert one["label"] == {data.classes[i]: float(share) for i, share in enumerate(shares) if share > 0}
        assert list(one["label"].values()) == sorted(one["label"].values(), reverse=True)
        assert sum(one["label"].values()) == pytest.approx(1)


def test_the_cases_change_what_is_seen(client: TestClient, state: State):
    """Or the test above would compare the same thing with itself many times."""
    made("cifar10", state.settings.datasets_dir)
    seen = {}
    for case, changes in CASES.items():
        pictures = previewed(client, recipe_of("cifar10", changes))
        seen[case] = "".join(one["after"] for one in pictures)

    assert len(set(seen.values())) == len(seen) - 2  # once is epoch 1; a batch of 3 is cut from the same order
    assert seen["once"] == seen["plain"] == seen["batches of 3"]


@pytest.mark.parametrize("case", ["plain", "mixup disjoint before", "once", "batches of 3"])
def test_the_later_columns_are_how_the_same_pictures_look_in_epochs_2_and_3(
    client: TestClient, state: State, case: str
):
    recipe = recipe_of(made("cifar10", state.settings.datasets_dir), CASES[case])
    data = datasets.load(recipe.dataset, state.settings.datasets_dir, print)
    pictures = previewed(client, recipe)

    for place, epoch in enumerate((2, 3)):
        looks = {number: picture for number, _, picture in trained_on(recipe, data, epoch, alone=True)}
        found = 0
        for one in pictures:
            later = one["later"][place]
            assert (later["name"], later["position"]) == (f"epoch {epoch}", None)
            if one["number"] in looks:  # as a partner it is not seen by itself
                np.testing.assert_array_equal(decoded(later["png"]), looks[one["number"]])
                found += 1
        assert found >= 2

    is_the_same = [decoded(one["later"][0]["png"]).tolist() == decoded(one["after"]).tolist() for one in pictures]
    assert all(is_the_same) if case == "once" else not any(is_the_same)


STAGES: list[tuple[dict[str, Any], list[tuple[str, int | None]]]] = [
    ({}, [("rotate", 0), ("pad_crop", 1), ("flip", 2), ("blur", 3), ("normalise", None), ("cutout", 4)]),
    ({"augment": []}, [("normalise", None)]),
    ({"augment": [{"op": "cutout"}, {"op": "flip"}]}, [("flip", 1), ("normalise", None), ("cutout", 0)]),
    ({"augment": [{"op": "flip"}], "mixup": {}}, [("mixup", None), ("flip", 0), ("normalise", None)]),
    (
        {"augment": [{"op": "flip"}], "mixup": {"when": "after"}},
        [("flip", 0), ("normalise", None), ("mixup", None)],
    ),
]


@pytest.mark.parametrize(("changes", "stages"), STAGES)
def test_the_stages_are_in_the_order_in_which_they_are_done(
    client: TestClient, changes: dict[str, Any], stages: list[tuple[str, int | None]]
):
    for one in previewed(client, recipe_of("digits", changes), 3):
        assert [(stage["name"], stage["position"]) for stage in one["stages"]] == [("stored", None), *stages]
        assert one["before"] == one["stages"][0]["png"]
        assert one["after"] == one["stages"][-1]["png"]


def test_a_picture_has_its_own_size_at_each_stage(client: TestClient):
    recipe = recipe_of("digits", {"augment": [{"op": "pad", "pad": 4}, {"op": "crop", "size": 32}]})

    sides = [decoded(stage["png"]).shape[0] for stage in previewed(client, recipe, 1)[0]["stages"]]

    assert sides == [32, 40, 32, 32]


def test_both_ranges_are_shown_only_where_something_is_erased_by_value(state: State):
    def ranges(*operations: dict[str, Any]) -> dict[str, Any]:
        recipe = recipe_of("digits", {"augment": list(operations), "normalize": "standardised"})
        return state.previews.augmentation(recipe, 12).ranges

    assert ranges({"op": "flip"}, {"op": "cutout_square"}) == {}
    both = ranges({"op": "flip"}, {"op": "cutout", "p": 1, "v_l": 0.9, "v_h": 1})
    assert list(both) == ["0..1", "0..127"]
    assert [len(row) for row in both.values()] == [8, 8]
    light, dark = (decoded(row[0].png).astype(int) for row in both.values())
    assert (light != dark).any()
    assert (light >= dark).all()  # the same rectangle: nearly white of 1, and nearly black of 127
    assert set(dark[light != dark].tolist()) == {2}


def test_as_many_pictures_as_asked_for_up_to_64_and_no_more_than_there_are(client: TestClient, tmp_path: Path):
    recipe = recipe_of("digits", {"augment": []})

    assert [len(previewed(client, recipe, count)) for count in (1, 16, 64)] == [1, 16, 64]
    few = recipe_of("digits", {"augment": [], "train_limit": 20, "last_batch": "drop"})
    assert len(previewed(client, few, 64)) == 16  # what is dropped is not seen in epoch 1


def test_the_same_recipe_is_the_same_preview(client: TestClient, state: State):
    recipe = recipe_of(made("cifar10", state.settings.datasets_dir), {"normalize": "standardised"})

    assert previewed(client, recipe) == previewed(client, recipe)
