"""The button beside a warning leads to a recipe that no longer has it, and carries nothing else."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.support.api_calls import launched
from tests.app.support.form_fields import Buttons, Fields, form, pressed
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.check import check_recipe

ADD_UP = {"loss": {"reduction": "sum"}}

# a recipe on digits for each warning that no preset has
RECIPES: dict[str, dict[str, Any]] = {
    "summed_rate": ADD_UP | {"schedule": {"max_lr": 0.4}},
    "decay_beside_a_sum": ADD_UP | {"schedule": {"max_lr": 0.001}},
    "long_warm_up": {"schedule": {"kind": "one_cycle", "peak": 0.8}},
    "tiny_last_batch": {"batch_size": 136},
    "last_batch_statistics": {"batch_size": 512, "model": {"bn_momentum": 0.1}},
    "slow_statistics": {"model": {"bn_momentum": 0.99}},
    "does_nothing": {"augment": [{"op": "pad_crop"}, {"op": "blur", "p": 0}]},
    "mirrored_digits": {"augment": [{"op": "flip"}, {"op": "cutout"}]},
    "erasers_come_last": {"augment": [{"op": "cutout"}, {"op": "rotate"}]},
    "eraser_out_of_range": {"augment": [{"op": "cutout", "v_h": 255}]},
    "eraser_is_flat": {"augment": [{"op": "cutout"}], "normalize": "0..127"},
    "crop_before_pad": {"augment": [{"op": "crop", "size": 24}, {"op": "pad"}]},
    "mixup_halves_steps": {"mixup": {}},
    "l2_is_twice_coupled": {},
    "decoupled_is_weaker": {"optimizer": {"weight_decay": {"kind": "decoupled"}}},
    "ends_at_peak": {"schedule": {"kind": "constant"}},
    "rate_vanishes": {"schedule": {"kind": "piecewise", "knots": [[0, 0.1], [2, 0]]}},
}


def warnings(page: str) -> set[tuple[str, str]]:
    """(code, path) of every warning that a page shows."""
    return set(re.findall(r'data-code="(\w+)">\s*<p><code>([^<]*)</code>', page))


def fixes(page: str) -> dict[tuple[str, str], str]:
    """The button of each warning that has one."""
    found = re.findall(
        r'data-code="(\w+)">\s*<p><code>([^<]*)</code>[^<]*(?:<[^b/][^<]*)*</p>\s*<button[^>]*value="([^"]*)"', page
    )
    return {(code, path): unescape(value) for code, path, value in found}


def whole(page: str) -> Recipe:
    """The recipe of a page's form, as a launch would read it."""
    from app.launch import form_fields

    fields = {
        key: text
        for key, text in Fields(page).sent.items()
        if not key.startswith(("label.", "sweep.", "preset", "parent"))
    }
    return Recipe.model_validate(form_fields.parse_fields(fields))


@pytest.mark.parametrize("preset", PRESETS)
def test_each_fix_of_a_preset_s_warnings_mends_it(client: TestClient, preset: str):
    recipe = PRESETS[preset].recipe
    images = 1497 if preset == "quickstart" else recipe.dataset.train_limit or 50_000
    page = client.get("/runs/new", params={"preset": preset}).text
    shown = fixes(page)

    assert set(shown) == {(one.code, one.path) for one in check_recipe(recipe, images) if one.fix}
    assert warnings(page) == {(one.code, one.path) for one in check_recipe(recipe, images)}
    for warning, button in shown.items():
        after = pressed(client, page, button)
        assert warning not in warnings(after)
        assert warning[0] not in {one.code for one in check_recipe(whole(after), images)}


@pytest.mark.parametrize("code", RECIPES)
def test_each_fix_mends_a_run_s_recipe_beside_the_form_and_from_its_page(client: TestClient, code: str):
    launched(client, preset="quickstart", recipe=RECIPES[code])
    page = client.get("/runs/new?from=1").text
    warning = next(one for one in fixes(page) if one[0] == code)

    beside = pressed(client, page, fixes(page)[warning])
    link = re.search(
        rf'data-code="{code}".*?href="(/runs/new\?from=1[^"]*fix=[^"]*)"', client.get("/runs/1").text, re.S
    )
    assert link is not None
    cloned = client.get(unescape(link[1])).text

    for after in (beside, cloned):
        assert code not in {one for one, _ in warnings(after)}
        assert Fields(after).sent["parent"] == "1"
    assert whole(beside) == whole(cloned) != whole(page)
    assert client.post("/runs", data=Fields(cloned).sent).status_code == 303


def test_fixing_one_after_the_other_ends_without_warnings(client: TestClient):
    page = client.get("/runs/new?preset=seed-readme").text
    for _ in range(10):
        if not fixes(page):
            break
        page = pressed(client, page, next(iter(fixes(page).values())))

    assert warnings(page) == set()
    assert "No warnings" in page


def test_a_fix_keeps_what_was_typed(client: TestClient):
    page = client.get("/runs/new?preset=seed-readme").text
    button = next(value for _, value in Buttons(page).found if value.startswith("fix."))
    typed = Fields(page).sent | {"label.name": "mine", "epochs": "33", "seed": "not a number"}

    after = Fields(client.post("/runs/new", data=typed | {"do": button}).text).sent

    assert (after["label.name"], after["epochs"], after["seed"]) == ("mine", "33", "not a number")


STRANGE = [
    "", "{", "[]", "5", "null", '"text"', "NaN", '{"unknown": 1}', '{"schedule": 5}', '{"schedule": {"kind": 5}}',
    '{"schedule": {"kind": "saw"}}', '{"augment": 7}', '{"augment": null}', '{"augment": [1, null, {"op": 3}, []]}',
    '{"dataset": {"name": {"a": 1}}}', '{"dataset": {"name": ["x"]}}', '{"dataset": null}', '{"mixup": 3}',
    '{"schedule": {"kind": "piecewise", "knots": [[1, [2]], 3, {"a": 4}, NaN]}}', '{"epochs": 1e999}',
    '{"schedule": {"kind": "piecewise", "knots": {"0": 1}}}', '{"seed": ' + "9" * 5000 + "}", '{"seed": -Infinity}',
    '{"schedule": {"kind": "\\ud800"}}', '{"\\ud800": 1}', '{"dataset": {"name": "a\\u0000b"}}',
    '{"epochs": ' + "[" * 900 + "]" * 900 + "}", '{"model": ' * 300 + "1" + "}" * 300, "[" * 9000,
    '{"dataset": {"name": "<script>alert(1)</script>"}}', '{"preset": "x"}', '{"target_accuracy": "much"}',
]  # fmt: skip


@pytest.mark.parametrize("fix", STRANGE, ids=lambda fix: fix[:40])
@pytest.mark.parametrize("address", ["/runs/new", "/previews"])
def test_a_strange_fix_is_harmless(client: TestClient, address: str, fix: str):
    fields = form(client)
    answers = [client.post(address, data=fields | {"do": f"fix.{fix}"})]
    if address == "/runs/new":
        answers.append(client.get(address, params={"preset": "quickstart", "fix": fix}))

    for answer in answers:
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        again = client.post(address, data=Fields(answer.text).sent | {"do": "seed"})
        assert again.status_code == 200


def test_a_fix_that_is_no_partial_recipe_changes_nothing(client: TestClient):
    plain = Fields(client.get("/runs/new").text).sent

    for fix in ("{", "[1]", '{"unknown": 1}', '{"label.name": "x"}', '{"epochs": 3, "preset": "seed-readme"}'):
        assert Fields(client.get("/runs/new", params={"fix": fix}).text).sent == plain
    fixed = client.get("/runs/new", params={"fix": json.dumps({"epochs": 3})}).text
    assert Fields(fixed).sent == plain | {"epochs": "3"}


def test_a_fix_that_is_too_long_is_refused(client: TestClient):
    assert client.get("/runs/new", params={"fix": "x" * 20_001}).status_code == 422
