"""The architecture of any recipe: as a page without JavaScript, as JSON, as coordinates; and what is refused."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from app.architecture import drawing as architecture
from app.architecture.pages import MAX_CLASSES, count_classes
from app.web.deps import State
from tests.app.support.cast import Hand, launch, started
from tests.app.support.form_fields import form
from trainer.models.layers import Layer
from trainer.models.resnet9 import resnet9
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.network import ResNet9

ADDRESS = "/api/v1/previews/architecture"
EVERYTHING: dict[str, Any] = {
    "identity": True, "whiten": True, "ghost_batch": 4, "bn_scale": "frozen",
    "pool": "before", "activation": "celu", "logit_scale": 0.125,
}  # fmt: skip


WIDE = next(name for name, preset in PRESETS.items() if preset.recipe.model == ResNet9())  # the original's model


def layers(classes: int = 10, **knobs: Any) -> list[Layer]:
    return resnet9(ResNet9.model_validate(knobs), classes)


def rows(page: str) -> list[str]:
    return re.findall(r'<tr data-layer="([^"]+)"', page)


def preview(client: TestClient, recipe: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = client.post(ADDRESS, json={"recipe": recipe} | body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def folder_with_classes(root: Path, count: int) -> None:
    for split in ("train", "test"):
        for number in range(count):
            folder = root / "mine" / split / f"class {number}"
            folder.mkdir(parents=True)
            (folder / "a.png").touch()


# the page


def test_the_original_net_shows_its_exact_figures(client: TestClient):
    page = client.get(f"/architecture?preset={WIDE}").text

    for figure in ("6,577,600", "6,573,120", "4,480", "0.7585 GFLOP", "2.272 GFLOP", "width 64, 10 classes"):
        assert figure in page, figure
    assert rows(page) == [layer.name for layer in layers()]


def test_without_a_query_the_page_shows_the_quickstart_s_model(client: TestClient):
    page = client.get("/architecture").text

    assert "The model of the preset quickstart" in page
    asked = client.get("/architecture?preset=quickstart").text
    assert page.partition("<footer")[0] == asked.partition("<footer")[0]
    assert page.count("<h1") == 1


def test_the_drawing_is_well_formed_and_has_a_text_description(client: TestClient):
    page = client.get(f"/architecture?preset={WIDE}").text
    drawing = re.search(r"<svg [^>]*data-drawing>.*?</svg>", page, re.DOTALL)
    assert drawing is not None

    svg = ElementTree.fromstring(re.sub(r"\bdata-(drawing|frozen)(?=[ >])", "", drawing[0]))

    assert (svg.attrib["role"], svg.attrib["aria-labelledby"]) == ("img", "net-title net-description")
    assert {child.attrib["id"]: bool(child.text) for child in svg[:2]} == {"net-title": True, "net-description": True}
    drawn = {found.attrib["data-layer"] for found in svg.iter("g")}
    assert drawn == {layer.name for layer in layers()}
    words = svg[1].text or ""
    assert "Layer 2: conv 3×3, BN, ReLU gives 16×16×256; pool 2×2 gives 8×8×256." in words
    assert "A shortcut leads from pool1 to add1" in words


def test_a_run_shows_the_net_that_its_own_recipe_makes(client: TestClient, state: State):
    run_id = launch(state, {"model": {"width": 4} | EVERYTHING, "batch_size": 48, "last_batch": "drop"}, name="A <b>")

    page = client.get(f"/architecture?run={run_id}").text

    assert rows(page) == [layer.name for layer in layers(width=4, **EVERYTHING)]
    assert f'<a href="/runs/{run_id}">A &lt;b&gt;</a>' in page
    assert "<b>" not in page
    for words in ("whitening, not trained", "Batch norm over 4 images, scale fixed at 1", "CELU, alpha 0.3", "× 0.125"):
        assert words in page, words


def test_the_classes_that_the_trainer_counted_are_believed(client: TestClient, state: State):
    launch(state)
    hand = Hand(client, state)
    hand.claim()
    hand.say(started(classes=[f"class {number}" for number in range(1234)]))

    page = client.get(f"/architecture?run={hand.run}").text

    assert "1,234 classes" in page


def test_the_form_shows_its_net_before_anything_is_launched(client: TestClient):
    fields = form(client, model__width="64", model__logit_scale="0.125", dataset__name="cifar100")

    answer = client.post("/architecture", data=fields)

    assert answer.status_code == 200
    assert "The model of the recipe in the form" in answer.text
    assert "100 classes (cifar100)" in answer.text
    assert rows(answer.text) == [layer.name for layer in layers(100, logit_scale=0.125)]
    assert client.get("/api/v1/runs").json()["runs"] == []


def test_text_of_strangers_is_never_markup(client: TestClient):
    evil = "</title><script>alert(1)</script>"

    answers = [
        client.get("/architecture", params={"preset": evil}),
        client.get("/architecture", params={"run": evil}),
        client.post("/architecture", data=form(client) | {"model.width": evil, "dataset.name": evil, evil: evil}),
        client.post("/architecture", data=form(client) | {"preset": evil}),
    ]

    assert [answer.status_code for answer in answers] == [404, 422, 422, 200]
    for answer in answers:
        assert "<script>alert" not in answer.text


def test_what_is_not_there_is_a_page_that_says_so(client: TestClient):
    missing, wrong = ["preset=x", "preset=", "run=1"], ["preset=" + "x" * 65, "run=0", "run=x", "run=" + "9" * 40]
    for question in missing + wrong:
        answer = client.get(f"/architecture?{question}")

        assert answer.status_code == (404 if question in missing else 422), question
        assert "<h1>" in answer.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model__width": "513"}, "model.width: must be at most 512"),
        ({"model__width": "1e9"}, "model.width: must be a whole number"),
        ({"dataset__name": "folder:nowhere"}, "dataset.name: there is no data set"),
        ({"model__colour": "red"}, "model.colour: there is no such setting"),
    ],
)
def test_a_wrong_form_is_refused_with_the_field_s_name(client: TestClient, changes: dict[str, str], sentence: str):
    answer = client.post("/architecture", data=form(client, **changes))

    assert answer.status_code == 422
    assert "<h1>The recipe is wrong</h1>" in answer.text
    assert sentence in unescape(answer.text)


def test_a_body_that_is_no_form_is_refused(client: TestClient):
    for answer in (client.post("/architecture"), client.post("/architecture", json={"epochs": 1})):
        assert answer.status_code == 422
        assert "is not the form of a recipe" in answer.text


# JSON


def test_the_api_returns_every_layer_and_the_totals(client: TestClient):
    answer = preview(client, {}, preset=WIDE)

    assert answer["totals"] == {
        "parameters": 6_577_600,
        "trainable": 6_573_120,
        "frozen": 4_480,
        "flops": 758_523_904,
        "training_flops": 2_272_032_768,
    }
    assert answer["layers"][1] == {
        "name": "Conv1",
        "kind": "conv",
        "inputs": ["model_input"],
        "block": "prep",
        "shape": [32, 32, 64],
        "parameters": 1728,
        "trainable": 1728,
        "frozen": 0,
        "flops": 2 * 1728 * 32 * 32,
        "training_flops": 4 * 1728 * 32 * 32,  # the image's gradient is not needed
    }
    for key, total in answer["totals"].items():
        assert sum(layer[key] for layer in answer["layers"]) == total


def test_the_classes_are_those_of_the_data_set(client: TestClient, state: State):
    folder_with_classes(state.settings.datasets_dir, 7)
    for name, classes in {"digits": 10, "cifar10": 10, "cifar100": 100, "folder:mine": 7}.items():
        assert preview(client, {"dataset": {"name": name}})["layers"][-1]["shape"] == [classes], name


def test_a_folder_that_is_damaged_or_gone_has_ten_classes_until_somebody_knows(client: TestClient, state: State):
    root = state.settings.datasets_dir
    folder_with_classes(root, 2)
    run_id = launch(state, {"dataset": {"name": "folder:mine"}})
    assert "2 classes (folder:mine)" in client.get(f"/architecture?run={run_id}").text

    (root / "mine" / "test" / "one more").mkdir()
    assert preview(client, {"dataset": {"name": "folder:mine"}})["layers"][-1]["shape"] == [10]
    (root / "mine").rename(root / "yours")

    assert "10 classes (folder:mine)" in client.get(f"/architecture?run={run_id}").text


def test_the_widest_net_is_only_arithmetic(client: TestClient, state: State):
    folder_with_classes(state.settings.datasets_dir, 12)

    answer = preview(client, {"model": {"width": 512}, "dataset": {"name": "folder:mine"}})

    assert answer["layers"][-1]["shape"] == [12]
    assert answer["totals"]["parameters"] > 400_000_000


def test_no_more_classes_are_counted_than_a_folder_can_mean(state: State):
    folder_with_classes(state.settings.datasets_dir, 12)
    recipe = Recipe.model_validate({"dataset": {"name": "folder:mine"}})

    assert count_classes(recipe, state.settings.datasets_dir, limit=11) == 11
    assert count_classes(recipe, state.settings.datasets_dir, trained=2**40) == MAX_CLASSES


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"preset": "x"}, "preset"),
        ({"recipe": {"model": {"width": 1}}}, "model.width"),
        ({"recipe": {"model": {"width": "64"}}}, "model.width"),
        ({"recipe": {"model": None}}, "model"),
        ({"recipe": {"dataset": {"name": "folder:nowhere"}}}, "dataset.name"),
        ({"recipe": [], "preset": None}, "recipe"),
        ({"width": 64}, "width"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_s_name(client: TestClient, body: Any, field: str):
    answer = client.post(ADDRESS, content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


# the drawing


@pytest.mark.parametrize("knobs", [{}, {"width": 2}, {"width": 512}, EVERYTHING, {"pool": "before"}], ids=str)
def test_nothing_in_the_drawing_stands_on_something_else(knobs: dict[str, Any]):
    model = layers(100, **knobs)
    drawing = architecture.draw_layers(model)

    assert [slab.layer.name for slab in drawing.slabs] == [one.name for one in model if one.kind != "add"]
    assert [one.layer.name for one in drawing.sums] == ["add1", "add2"]
    spans = [(slab.x, slab.right) for slab in drawing.slabs] + [(s.x - s.radius, s.x + s.radius) for s in drawing.sums]
    for (_, right), (left, _) in zip(sorted(spans), sorted(spans)[1:], strict=False):
        assert right <= left + 1e-9
    assert all(arrow.x1 < arrow.x2 for arrow in drawing.arrows)
    assert [frame.block for frame in drawing.frames] == ["prep", "layer 1", "layer 2", "layer 3", "head"]
    for before, after in zip(drawing.frames, drawing.frames[1:], strict=False):
        assert before.x + before.width < after.x
    assert drawing.frames[-1].x + drawing.frames[-1].width < drawing.width
    assert sum(frame.share for frame in drawing.frames) == pytest.approx(1)
    for shortcut in drawing.shortcuts:
        passed = [s for s in drawing.slabs if shortcut.x1 < s.x < shortcut.x2]
        assert passed
        assert shortcut.high < min(slab.y - slab.depth for slab in passed)
        assert shortcut.high > 36  # below the headings
    assert max(slab.y + slab.height for slab in drawing.slabs) < drawing.height - 60  # above the captions


def test_a_slab_is_taller_the_larger_its_image_and_wider_the_more_channels():
    convolutions = [slab for slab in architecture.draw_layers(layers()).slabs if slab.layer.kind == "conv"]

    for one in convolutions:
        for other in convolutions:
            (side, _, channels), (other_side, _, other_channels) = one.layer.shape, other.layer.shape
            assert (side < other_side) == (one.height < other.height)
            assert (channels < other_channels) == (one.width < other.width)


def test_figures_are_written_for_people():
    assert [architecture.format_digits(value) for value in (0, 0.01024, 75.5, 150.994, 2272.03, 38654.7)] == [
        "0", "0.01024", "75.50", "151.0", "2,272", "38,655",
    ]  # fmt: skip
    assert architecture.format_flops(12_134_400) == "12.13 MFLOP"
    assert architecture.format_flops(48_347_512_832) == "48.35 GFLOP"
