"""Pages as a browser without JavaScript gets them: the numbers are there, forms post, nothing typed is lost."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.rendering import duration, figure, json_data, percent, when
from app.state import State
from tests.app.cast import NOW, SMALL, Hand, epoch, launch, started, step, trained
from tests.app.test_forms import Fields
from trainer.presets import PRESETS

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;"
SPACE = "\u202f"  # between a number and its unit


def form(client: TestClient, **changes: str) -> dict[str, str]:
    """The fields of the form as it is shown, some of them filled in otherwise."""
    fields = Fields(client.get("/runs/new").text).sent
    return fields | {key.replace("__", "."): value for key, value in changes.items()}


def count(client: TestClient) -> int:
    return len(client.get("/api/v1/runs").json()["runs"])


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_every_page_answers_on_an_empty_database(client: TestClient):
    for address in ("/", "/runs", "/runs/new", "/login", "/fragments/now"):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "No runs yet." in client.get("/runs").text
    assert "Nothing runs." in client.get("/").text


def test_every_page_has_one_title_one_heading_and_a_skip_link(client: TestClient, state: State):
    run_id = trained(client, state)
    for address in ("/", "/runs", "/runs/new", "/login", f"/runs/{run_id}", f"/runs/new?from={run_id}", "/nowhere"):
        page = client.get(address).text

        assert page.count("<h1") == 1, address
        assert page.count("<title>") == 1, address
        assert 'class="skip" href="#main"' in page
        assert '<html lang="en">' in page


def test_the_page_of_a_run_shows_its_numbers_in_per_cent_with_two_decimals(client: TestClient, state: State):
    run_id = trained(client, state, (0.51234, 0.94126, None), name="A fine run")

    page = client.get(f"/runs/{run_id}").text

    assert "<h1>A fine run</h1>" in page
    assert "Succeeded" in page
    for shown in (f"94.13{SPACE}%", f"51.23{SPACE}%", "epoch 2", "3 of 4", "a line"):
        assert shown in page, shown
    rows = re.findall(r'<th scope="row">(\d+)</th>', page)
    assert rows == ["3", "2", "1"]  # the newest first
    assert "nan" not in page.lower().replace("nano", "")


def test_the_page_s_data_for_charts_is_json(client: TestClient, state: State):
    run_id = trained(client, state, (0.5, None))
    page = client.get(f"/runs/{run_id}").text

    blocks = re.findall(r'<script type="application/json" data-(\w+)>(.*?)</script>', page, re.DOTALL)
    found = {name: json.loads(content) for name, content in blocks}
    assert set(found) == {"figures", "rows"}
    assert [row["val_accuracy"] for row in found["rows"]] == [0.5, None]
    assert [one["name"] for one in found["figures"]] == ["accuracy", "loss", "learning_rate", "seconds"]


def test_a_run_that_trains_shows_where_it_stands(client: TestClient, state: State):
    run_id = launch(state)
    hand = Hand(client, state)
    hand.claim()
    hand.say(started(), epoch(1, 0.4, 30.0), step(15, epoch=2, images_per_second=1234.5))

    page = text_of(client.get(f"/runs/{run_id}").text)
    home = text_of(client.get("/").text)

    assert "Running" in page
    assert "1,234" in page
    assert "1 min 15 s" in page  # 2.5 epochs of 30 s
    assert "40.00 %" in home
    assert "on run 1" in home


def test_a_failed_run_says_why_and_what_to_try_and_shows_its_last_words(client: TestClient, state: State):
    launch(state)
    hand = Hand(client, state)
    hand.claim()
    failed = {"event": "failed", "kind": "diverged", "message": "The loss is not a number.", "hint": "Lower max_lr."}
    hand.say(started(), epoch(1), failed, log="step 7: loss nan\n")
    hand.finish("failed", exit_code=1, reason="The trainer ended with exit code 1.")

    page = text_of(client.get(f"/runs/{hand.run}").text)

    for words in (
        "failed after epoch 1",
        "The loss is not a number.",
        "Lower max_lr.",
        "step 7: loss nan",
        "exit code 1",
    ):
        assert words in page, words


def test_a_lost_run_says_that_its_worker_fell_silent(client: TestClient, state: State):
    from app import run_queue

    launch(state)
    hand = Hand(client, state)
    hand.claim()
    with state.records.write() as session:
        run_queue.rescue(session, [(hand.run, hand.attempt)], NOW)

    assert "Its worker fell silent." in client.get(f"/runs/{hand.run}").text


def test_what_differs_from_the_preset_is_marked(client: TestClient):
    body = {"preset": "quickstart", "recipe": {"epochs": 3, "seed": 9}}
    run_id = client.post("/api/v1/runs", json=body).json()["runs"][0]["id"]

    marked = re.findall(r'<tr data-changed><th scope="row">([\w.]+)</th>', client.get(f"/runs/{run_id}").text)

    assert marked == ["epochs"]


def test_fragments_are_the_parts_of_their_pages(client: TestClient, state: State):
    run_id = trained(client, state)
    page = client.get(f"/runs/{run_id}").text

    for name in ("summary", "epochs", "recipe"):
        fragment = client.get(f"/runs/{run_id}/{name}").text
        assert "<html" not in fragment
        assert fragment.strip() in page
    assert client.get(f"/runs/{run_id}/row").text.strip() in client.get("/runs").text


def test_the_list_is_filtered_sorted_and_paged_by_links(client: TestClient, state: State):
    trained(client, state, (0.9,), name="Alpha one")
    for number in range(55):
        launch(state, name=f"beta {number}")

    first = client.get("/runs").text
    following = re.search(r'href="(/runs\?[^"]+)">Next page', first)
    assert following is not None
    second = client.get(unescape(following[1])).text

    assert "beta 54" in first
    assert "Alpha one" not in first
    assert "Alpha one" in second
    assert "beta 54" not in second
    assert "Alpha one" in client.get("/runs?status=succeeded").text
    assert "beta" not in re.sub("value=.*", "", client.get("/runs?q=alpha").text)
    assert "No run fits." in client.get("/runs?q=nothing-like-it").text
    assert "Alpha one" in client.get("/runs?sort=-best_val_accuracy").text


def test_a_next_page_keeps_the_filter_and_the_order(client: TestClient, state: State):
    for number in range(60):
        launch(state, name=f"x & y {number:02d}")
    page = client.get("/runs", params={"q": "x & y", "sort": "name", "status": "queued"}).text

    following = re.search(r'href="(/runs\?[^"]+)">Next page', page)
    assert following is not None
    second = client.get(unescape(following[1])).text

    assert re.findall(r"x &amp; y \d\d</a>", second)[0] == "x &amp; y 50</a>"


# the form


def test_the_form_as_it_is_shown_launches_the_preset(client: TestClient):
    answer = client.post("/runs", data=form(client, label__name="From a form", label__tags="a, b,,"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/1")
    run = client.get("/api/v1/runs/1").json()
    assert run["recipe"] == PRESETS["quickstart"].recipe.model_dump(mode="json")
    assert (run["name"], run["tags"], run["preset"]) == ("From a form", ["a", "b"], "quickstart")
    assert "From a form" in client.get(answer.headers["location"]).text


WRONG = [
    ("epochs", "0", "must be at least 1"),
    ("epochs", "three", "must be a whole number"),
    ("epochs", "2.5", "must be a whole number"),
    ("epochs", "", "must be a whole number"),
    ("schedule.max_lr", "-1", "must be at least 0"),
    ("schedule.max_lr", "nan", "must be a finite number"),
    ("schedule.max_lr", "inf", "must be a finite number"),
    ("augment.0.pad", "99", "must be at most 16"),
    ("dataset.train_limit", "0", "must be at least 1"),
    ("dataset.name", "folder:gone", "is not"),
    ("seed", "9" * 40, "must be at most"),
    ("label.priority", "101", "less than or equal to 100"),
    ("label.priority", "x", "integer"),
    ("label.name", "x" * 201, "at most 200"),
    ("label.name", "a\0b", "control characters"),
    ("label.tags", "x" * 41, "at most 40"),
]


@pytest.mark.parametrize(("field", "value", "message"), WRONG)
def test_a_wrong_value_is_kept_with_its_message_beside_it_and_nothing_is_stored(
    client: TestClient, field: str, value: str, message: str
):
    answer = client.post("/runs", data=form(client) | {field: value, "label.notes": "typed with care"})

    assert answer.status_code == 422
    assert count(client) == 0
    beside = re.search(rf'id="{field.replace(".", "-")}-error">([^<]*)<', answer.text)
    assert beside is not None, "no message beside the field"
    if field != "dataset.name":
        assert message in unescape(beside[1])
    assert Fields(answer.text).sent[field] == value
    assert Fields(answer.text).sent["label.notes"] == "typed with care"
    assert "Nothing was launched." in answer.text
    assert f'href="#{field.replace(".", "-")}"' in answer.text


def test_all_wrong_values_are_shown_at_once(client: TestClient):
    answer = client.post("/runs", data=form(client, epochs="0", batch_size="x", label__priority="999"))

    assert "3 fields need" in answer.text
    assert answer.text.count('class="error" id=') == 3


def test_the_buttons_reshape_the_form_and_keep_what_was_typed(client: TestClient):
    typed = form(client, label__name="typed", epochs="not a number")

    added = Fields(client.post("/runs/new", data=typed | {"do": "add.flip"}).text).sent
    constant = Fields(client.post("/runs/new", data=typed | {"schedule.kind": "constant", "do": "shape"}).text).sent

    assert (added["augment.2.op"], added["augment.2.p"]) == ("flip", "0.5")
    assert (added["label.name"], added["epochs"]) == ("typed", "not a number")
    assert constant["schedule.lr"] == "0.1"
    assert "schedule.max_lr" not in constant
    assert count(client) == 0


def test_the_form_of_another_schedule_launches_it(client: TestClient):
    typed = form(client) | {"schedule.kind": "constant", "do": "shape"}
    shown = Fields(client.post("/runs/new", data=typed).text).sent

    assert client.post("/runs", data=shown | {"schedule.lr": "0.25"}).status_code == 303
    assert client.get("/api/v1/runs/1").json()["recipe"]["schedule"] == {"kind": "constant", "lr": 0.25}


def test_a_clone_begins_as_the_run_that_it_is_of(client: TestClient):
    body = {"recipe": SMALL | {"seed": 5}, "name": "Parent", "tags": ["a", "b"], "priority": 3}
    client.post("/api/v1/runs", json=body)

    page = client.get("/runs/new?from=1").text
    answer = client.post("/runs", data=Fields(page).sent)

    assert 'Cloned from <a href="/runs/1">' in page
    assert answer.status_code == 303
    first, second = (client.get(f"/api/v1/runs/{run_id}").json() for run_id in (1, 2))
    assert second["recipe"] == first["recipe"]
    assert (second["parent_id"], second["name"]) == (1, "Parent again")
    assert (second["tags"], second["priority"]) == (["a", "b"], 3)


def test_an_unknown_preset_shows_the_first(client: TestClient):
    assert 'name="preset" value="quickstart"' in client.get("/runs/new?preset=nothing").text
    assert client.get("/runs/new?from=99").status_code == 404
    assert client.get("/runs/new?from=x").status_code == 422


def test_a_form_that_is_no_form_launches_nothing(client: TestClient):
    assert (
        client.post("/runs", content=b'{"epochs": 1}', headers={"Content-Type": "application/json"}).status_code >= 400
    )
    assert client.post("/runs").status_code >= 400
    assert count(client) == 0


# cancel and delete


def test_cancel_and_delete_post_and_come_back(client: TestClient, state: State):
    run_id = launch(state)
    assert f'action="/runs/{run_id}/cancel"' in client.get(f"/runs/{run_id}").text

    cancelled = client.post(f"/runs/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, f"/runs/{run_id}")
    assert "Cancelled" in client.get(f"/runs/{run_id}").text

    deleted = client.post(f"/runs/{run_id}/delete")
    assert (deleted.status_code, deleted.headers["location"]) == (303, "/runs")
    assert client.get(f"/runs/{run_id}").status_code == 404


def test_what_cannot_be_done_now_is_said_on_a_page(client: TestClient, state: State):
    run_id = trained(client, state)
    launch(state)
    held = Hand(client, state)
    held.claim()

    cancel, delete = client.post(f"/runs/{run_id}/cancel"), client.post(f"/runs/{held.run}/delete")

    assert (cancel.status_code, delete.status_code) == (409, 409)
    assert "already succeeded" in cancel.text
    assert "cancel it first" in delete.text
    assert "<html" in cancel.text


# mistakes


@pytest.mark.parametrize(
    "address", ["/nowhere", "/runs/99", "/runs/x", "/runs/0", "/runs/" + "9" * 40, "/runs/1/nothing"]
)
def test_what_is_not_there_is_a_page_of_its_own(client: TestClient, address: str):
    answer = client.get(address)

    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert 'href="/runs"' in answer.text


@pytest.mark.parametrize("address", ["/runs?sort=x", "/runs?status=x", "/runs?cursor=x", "/runs?q=" + "x" * 201])
def test_a_wrong_question_is_a_page_that_says_so(client: TestClient, address: str):
    answer = client.get(address)

    assert answer.status_code == 422
    assert "<h1>Some fields are wrong</h1>" in answer.text


# strangers' text


def test_text_is_never_markup(client: TestClient, state: State):
    client.post("/api/v1/runs", json={"recipe": SMALL, "name": EVIL, "tags": [EVIL[:40]], "notes": EVIL})
    hand = Hand(client, state, name=EVIL)
    hand.claim()
    hand.say(
        started(environment={"device": EVIL, EVIL: EVIL}),
        epoch(1),
        {"event": "failed", "kind": EVIL, "message": EVIL, "hint": EVIL},
        log=EVIL + "\n",
    )
    hand.finish("failed", exit_code=1, reason="another " + EVIL)

    addresses = ["/", "/runs", "/runs/1", "/runs/1/summary", "/runs/1/recipe", "/runs/1/row", "/runs/new?from=1"]
    for address in addresses:
        page = client.get(address).text
        assert "alert(1)" in page, address
        assert "<script>alert" not in page, address
        assert "<img" not in page, address
    question = client.get("/runs", params={"q": EVIL, "status": "queued"}).text
    assert "<script>alert" not in question
    shown = client.post("/runs", data=form(client) | {"label.name": EVIL, "epochs": EVIL, EVIL: EVIL}).text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "<script>alert" not in client.get("/login", params={"next": "/" + EVIL}).text
    assert "<script>alert" not in client.get("/" + EVIL).text


def test_a_log_that_a_browser_opens_is_text(client: TestClient, state: State):
    launch(state)
    hand = Hand(client, state)
    hand.claim()
    hand.say(log=EVIL)

    answer = client.get("/api/v1/runs/1/log")

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_json_in_a_page_can_end_no_element_and_stays_the_same():
    value: dict[str, Any] = {EVIL: ["</script>", "<!--", "]]>", "&amp;", "\u2028", "é"]}

    text = str(json_data(value))

    assert "<" not in text
    assert "&" not in text
    assert json.loads(text) == value


# numbers in words


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "–"), (0, "0.00 %"), (0.94123, "94.12 %"), (0.99996, "100.00 %"), (1, "100.00 %"), (0.5, "50.00 %")],
)
def test_a_share_is_shown_in_per_cent(share: float | None, words: str):
    assert percent(share) == words.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (8040, "2 h 14 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_seconds_are_shown_in_the_two_largest_units(seconds: float | None, words: str):
    assert duration(seconds).replace(SPACE, " ") == words


def test_figures_and_times_are_shown_short():
    assert [figure(value) for value in (None, 0.00012345, 2.0, 123456.0)] == ["–", "0.0001234", "2", "1.235e+05"]
    assert when(None) == "–"
    assert when(NOW) == '<time datetime="2026-03-01T12:00:00+00:00">2026-03-01 12:00 UTC</time>'
