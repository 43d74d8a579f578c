"""Previews on pages, without JavaScript: every button is a plain POST, and a wrong recipe is shown what is wrong."""

from __future__ import annotations

import re
from html import unescape

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import count
from tests.app.support.form_fields import Buttons, Fields, form, pressed
from tests.app.support.small_data import CIFAR, made
from trainer.presets import PRESETS
from trainer.recipe.learning_rates import learning_rates

PAGES = ["/runs/new", "/previews"]
PANEL = "/previews/panel"


def rows(page: str) -> list[str]:
    """The numbers of the pictures that are shown, one for each row."""
    return re.findall(r'<tr data-picture="(\d+)"', page)


def codes(page: str) -> list[str]:
    return re.findall(r'data-code="(\w+)"', page)


def wrong(page: str) -> dict[str, str]:
    """What the panel says is wrong: path -> sentence."""
    if (panel := re.search(r'data-part="check".*?</section>', page, re.DOTALL)) is None:
        return {}
    found = re.findall(r'<li><a href="#[\w-]*">([^<]*)</a> ([^<]*)</li>', panel[0])
    return {unescape(path): unescape(sentence) for path, sentence in found}


def piecewise(client: TestClient, address: str) -> str:
    shaped = form(client) | {"schedule.kind": "piecewise", "do": "shape"}
    return client.post(address, data=shaped).text


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("preset", ["quickstart", "seed-readme-fixed", "page-2018-small"])
def test_a_page_shows_the_numbers_of_the_preset_s_curve(client: TestClient, address: str, preset: str):
    page = client.get(address, params={"preset": preset}).text

    recipe = PRESETS[preset].recipe
    images = {"quickstart": 1497, "seed-readme-fixed": 50_000, "page-2018-small": 4000}[preset]
    rates = learning_rates(recipe, images)
    assert f"Peak <strong>{rates.max():.4g}</strong>" in page
    assert f"final <strong>{rates[-1]:.4g}</strong>" in page
    assert f"{len(rates):,} steps" in page
    table = re.search(r'aria-label="Learning rate per epoch".*?</table>', page, re.DOTALL)
    assert table is not None
    cells = re.findall(r'<th scope="row">(\d+)</th><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td>', table[0])
    per_epoch = len(rates) // recipe.epochs
    assert cells == [
        (str(n), f"{rates[(n - 1) * per_epoch]:.4g}", f"{rates[n * per_epoch - 1]:.4g}")
        for n in range(1, recipe.epochs + 1)
    ]


def test_pictures_are_shown_at_once_on_their_own_page_and_when_asked_for_beside_the_form(client: TestClient):
    assert len(rows(client.get("/previews").text)) == 16
    beside = client.get("/runs/new").text
    assert rows(beside) == []

    assert len(rows(pressed(client, beside, "preview"))) == 6


@pytest.mark.parametrize("address", PAGES)
def test_every_button_of_the_form_is_a_plain_post_that_leads_back(client: TestClient, address: str):
    page = client.get(address, params={"preset": "seed-readme"}).text
    found = Buttons(page)
    assert {verb.partition(".")[0] for _, verb in found.found} >= {
        "with", "without", "add", "remove", "up", "down", "shape", "seed", "fix",
    }  # fmt: skip
    assert found.disabled == ["up.0", f"down.{len(PRESETS['seed-readme'].recipe.augment) - 1}"]

    for to, value in found.found:
        if value == "shape" and to != address:
            continue  # "Back to the full form", to the other page
        assert to == address, value
        after = client.post(to, data=Fields(page).sent | {"do": value, "label.notes": "typed"})
        assert after.status_code == 200, value
        assert bool(wrong(after.text)) == (value == "add.pad"), value  # a crop must follow it
        assert Fields(after.text).sent["label.notes"] == "typed"
        assert Fields(after.text).sent != Fields(page).sent | {"label.notes": "typed"} or value in {
            "shape",
            "preview",
        }, value
    assert count(client) == 0


@pytest.mark.parametrize("address", PAGES)
def test_parts_are_added_and_left_out(client: TestClient, address: str):
    page = pressed(client, client.get(address).text, "with.mixup")
    assert Fields(page).sent["mixup.alpha"] == "0.2"

    page = pressed(client, pressed(client, page, "with.ema"), "without.mixup")
    fields = Fields(page).sent
    assert (fields["ema.decay"], fields["ema.every"]) == ("0.99", "5")
    assert not [name for name in fields if name.startswith("mixup")]
    assert client.post("/runs", data=fields | {"ema.every": "7"}).status_code == 303
    recipe = client.get("/api/v1/runs/1").json()["recipe"]
    assert recipe["mixup"] is None
    assert recipe["ema"] == {"decay": 0.99, "every": 7, "rise": 0, "put_back": False}


def test_another_seed_is_another_first_picture(client: TestClient):
    before = client.get("/previews").text

    after = pressed(client, before, "seed")

    assert Fields(after).sent["seed"] == "1"
    assert rows(after) != rows(before)


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize(
    "kind", ["constant", "piecewise", "slopes", "step", "one_cycle", "sine", "exp_range", "cosine_restarts"]
)
def test_another_kind_of_schedule_is_shown_at_once_with_its_own_knobs(client: TestClient, address: str, kind: str):
    after = client.post(address, data=form(client) | {"schedule.kind": kind, "do": "shape"}).text

    assert wrong(after) == {}
    assert "data-rate-summary" in after
    assert Fields(after).sent.get("schedule.knots", "0:0, 5:0.4, 24:0") == "0:0, 5:0.4, 24:0"
    assert client.post("/runs", data=Fields(after).sent).status_code == 303
    assert client.get("/api/v1/runs/1").json()["recipe"]["schedule"]["kind"] == kind


@pytest.mark.parametrize("address", PAGES)
def test_knots_are_typed_shown_again_and_launched(client: TestClient, address: str):
    typed = Fields(piecewise(client, address)).sent | {"schedule.knots": "0:0, 5:0.4, 24:0"}

    again = Fields(client.post(address, data=typed | {"do": "seed"}).text).sent

    assert again["schedule.knots"] == "0:0, 5:0.4, 24:0"
    assert client.post("/runs", data=again).status_code == 303
    schedule = client.get("/api/v1/runs/1").json()["recipe"]["schedule"]
    assert schedule == {"kind": "piecewise", "knots": [[0, 0], [5, 0.4], [24, 0]]}
    assert Fields(client.get(f"{address}?from=1").text).sent["schedule.knots"] == "0:0, 5:0.4, 24:0"


@pytest.mark.parametrize(
    ("typed", "path", "sentence", "beside"),
    [
        ("0:0, 5:0.4, 4:0", "schedule.knots.2", "must come after the knot at epoch 5", "Knots 3: must come after"),
        ("0:0, 5:fast", "schedule.knots.1.1", "must be a number", "Knots 2: must be a number"),
        ("0:0, 5", "schedule.knots.1", "must have at least 2 entries", "Knots 2: must have at least 2"),
        ("0:0, 5:101", "schedule.knots.1", "must have a rate between 0 and 100", "Knots 2: must have a rate"),
        ("", "schedule.knots", "must have at least 1 entries", "Knots must have at least 1"),
    ],
)
def test_a_mistake_in_the_knots_is_named_and_kept(
    client: TestClient, typed: str, path: str, sentence: str, beside: str
):
    fields = Fields(piecewise(client, "/runs/new")).sent | {"schedule.knots": typed}

    panel = client.post(PANEL, data=fields)
    answer = client.post("/runs", data=fields)

    assert panel.status_code == 200
    assert sentence in wrong(panel.text)[path]
    assert answer.status_code == 422
    assert Fields(answer.text).sent["schedule.knots"] == typed
    error = re.search(r'id="schedule-knots-error">([^<]*)<', answer.text)
    assert error is not None and beside in unescape(error[1])
    assert 'href="#schedule-knots"' in answer.text and 'href="#schedule-knots"' in panel.text


def test_every_mistake_leads_to_something_that_is_there(client: TestClient):
    typed = form(client) | {"augment.0.pad": "99", "epochs": "x", "augment.1.op": "swirl", "optimizer.momentum": "2"}

    page = client.post("/runs", data=typed).text

    ids = set(re.findall(r'\bid="([^"]+)"', page))
    found = set(re.findall(r'<li><a href="#([^"]+)">', page))
    assert {"augment-0-pad", "epochs", "optimizer-momentum"} <= found
    assert found <= ids, found - ids
    assert len(re.findall(r'\bid="([^"]+)"', page)) == len(ids)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("schedule.max_lr", "-1", "must be at least 0"),
        ("epochs", "", "must be a whole number"),
        ("dataset.name", "folder:gone", "there is no data set at"),
        ("augment.0.pad", "many", "must be a whole number"),
        ("schedule.kind", "saw", "must be one of"),
    ],
)
def test_the_panel_of_a_wrong_recipe_answers_and_names_what_is_wrong(
    client: TestClient, field: str, value: str, sentence: str
):
    answer = client.post(PANEL, data=form(client) | {field: value})

    assert answer.status_code == 200
    assert sentence in wrong(answer.text)[field if field != "schedule.kind" else "schedule"]
    assert "data-invalid" in answer.text
    assert 'data-part="rate"' not in answer.text and 'data-part="images"' not in answer.text


def test_batches_without_a_step_are_a_mistake_of_the_recipe(client: TestClient):
    answer = client.post(PANEL, data=form(client, batch_size="1498", last_batch="drop"))

    assert wrong(answer.text) == {"batch_size": "leaves no step for 1497 training images: use smaller batches"}


def test_a_run_of_any_length_has_its_curve(client: TestClient):
    """The API refuses to send so many numbers; a page shows a few of them."""
    page = client.post(PANEL, data=form(client, epochs="10000", batch_size="1")).text

    assert wrong(page) == {}
    assert "14,970,000 steps, 1,497 per epoch" in page
    assert '<th scope="row">10000</th>' in page


def test_a_panel_shows_as_many_pictures_as_asked_for(client: TestClient):
    fields = form(client)

    assert [len(rows(client.post(f"{PANEL}?count={n}", data=fields).text)) for n in (0, 1, 6, 16)] == [0, 1, 6, 16]
    assert client.post(f"{PANEL}?count=17", data=fields).status_code == 422
    assert client.post(f"{PANEL}?count=x", data=fields).status_code == 422


def test_a_data_set_that_is_not_here_is_shown_on_digits_and_says_so(client: TestClient, state: State):
    page = client.get("/previews?preset=seed-readme-fixed").text

    assert "cifar10 is not on this machine yet" in page
    assert "Images of digits are shown instead." in page
    assert len(rows(page)) == 16
    assert "960 steps" in page  # of CIFAR-10

    made("cifar10", state.settings.datasets_dir)
    page = client.post("/previews", data=Fields(page).sent | {"batch_size": "20"}).text
    assert "shown instead" not in page
    assert len(rows(page)) == 16
    assert "airplane" in page or "truck" in page or "frog" in page


def test_damaged_files_are_told_and_digits_stand_in(client: TestClient, state: State):
    made("cifar10", state.settings.datasets_dir)
    (state.settings.datasets_dir / CIFAR / "data_batch_1").write_bytes(b"garbage")

    page = unescape(client.get("/previews?preset=seed-base").text)

    assert "data_batch_1 is damaged" in page and "Images of digits are shown instead." in page
    assert len(rows(page)) == 16


def test_where_the_limits_fit_no_stand_in_both_reasons_are_given(client: TestClient):
    fields = Fields(client.get("/previews?preset=seed-base").text).sent

    page = client.post("/previews", data=fields | {"dataset.val_from_train": "2000"}).text

    assert "is not on this machine yet" in page and "2000 images cannot be held out of 1497" in page
    assert rows(page) == []


def test_an_unknown_preset_shows_the_first_and_an_unknown_run_is_not_found(client: TestClient):
    assert 'name="preset" value="quickstart"' in client.get("/previews?preset=nothing").text
    assert client.get("/previews?from=99").status_code == 404
    assert client.get("/previews?from=x").status_code == 422


@pytest.mark.parametrize("address", ["/runs/new", "/previews", PANEL])
def test_what_somebody_typed_is_text_on_the_page_and_no_markup(client: TestClient, address: str):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    fields = form(client)
    for field in ("schedule.kind", "dataset.name", "epochs", "label.name", "augment.0.pad", "preset", evil):
        answer = client.post(address, data=fields | {field: evil, "do": "shape"})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text and "<img src=x" not in answer.text, field
    knots = Fields(piecewise(client, "/runs/new")).sent | {"schedule.knots": f"0:{evil}"}
    assert "<img src=x" not in client.post(address, data=knots).text
