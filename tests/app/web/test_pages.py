"""Pages as a browser without JavaScript gets them: numbers, fragments, the list, buttons, mistakes."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import NOW, SPACE, Hand, epoch, launch, started, step, trained


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_every_page_answers_on_an_empty_database(client: TestClient):
    for address in ("/", "/runs", "/runs/new", "/login", "/fragments/now"):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "No runs yet." in client.get("/runs").text
    assert "No runs in progress." in client.get("/").text


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
    assert "Finished" in page
    for shown in (f"94.13{SPACE}%", f"51.23{SPACE}%", "epoch 2", "3 of 4", "a line"):
        assert shown in page, shown
    table = page.partition('<table class="epochs')[2].partition("</table>")[0]
    rows = re.findall(r'<th scope="row">(\d+)</th>', table)
    assert rows == ["3", "2", "1"]  # the newest first
    assert "nan" not in page.lower().replace("nano", "")


def test_the_page_s_data_for_charts_is_json(client: TestClient, state: State):
    run_id = trained(client, state, (0.5, None))
    page = client.get(f"/runs/{run_id}").text

    blocks = re.findall(r'<script type="application/json" data-(\w+)>(.*?)</script>', page, re.DOTALL)
    found = {name: json.loads(content) for name, content in blocks}
    assert set(found) == {"figures", "rows"}
    assert [row["val_accuracy"] for row in found["rows"]] == [0.5, None]
    assert [one["name"] for one in found["figures"]] == [
        "accuracy",
        "loss",
        "learning_rate",
        "seconds",
        "images_per_second",
    ]


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
        "Diverged after epoch 1.",
        "Failed: diverged",
        "The loss is not a number.",
        "Lower max_lr.",
        "step 7: loss nan",
        "exit code 1",
    ):
        assert words in page, words


def test_a_lost_run_says_that_its_worker_fell_silent(client: TestClient, state: State):
    from app.workers import queue

    launch(state)
    hand = Hand(client, state)
    hand.claim()
    with state.records.write() as session:
        queue.rescue(session, [(hand.run, hand.attempt)], NOW)

    assert "Worker lost." in client.get(f"/runs/{hand.run}").text


def test_what_differs_from_the_preset_is_marked(client: TestClient):
    body = {"preset": "quickstart", "recipe": {"epochs": 3, "seed": 9}}
    run_id = client.post("/api/v1/runs", json=body).json()["runs"][0]["id"]

    marked = re.findall(r'<tr data-changed><th scope="row">([\w.]+)</th>', client.get(f"/runs/{run_id}").text)

    assert marked == ["epochs"]


def test_fragments_are_the_parts_of_their_pages(client: TestClient, state: State):
    run_id = trained(client, state)
    page = client.get(f"/runs/{run_id}").text

    for name in ("summary", "epochs", "recipe", "attempts"):
        fragment = client.get(f"/runs/{run_id}/{name}").text
        assert "<html" not in fragment
        assert fragment.strip() in page
    assert client.get(f"/fragments/rows?ids={run_id}&boxes=1").text.strip() in client.get("/runs").text


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
    assert "No matching runs." in client.get("/runs?q=nothing-like-it").text
    assert "Alpha one" in client.get("/runs?sort=-best_val_accuracy").text


def test_a_next_page_keeps_the_filter_and_the_order(client: TestClient, state: State):
    for number in range(60):
        launch(state, name=f"x & y {number:02d}")
    page = client.get("/runs", params={"q": "x & y", "sort": "name", "status": "queued"}).text

    following = re.search(r'href="(/runs\?[^"]+)">Next page', page)
    assert following is not None
    second = client.get(unescape(following[1])).text

    assert re.findall(r"x &amp; y \d\d</a>", second)[0] == "x &amp; y 50</a>"


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
    assert "already finished" in cancel.text
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


def test_a_run_whose_backend_no_worker_has_says_so_and_what_works(client: TestClient, state: State):
    run_id = launch(state, {"backend": "jax"})
    assert "No worker supports" not in client.get(f"/runs/{run_id}").text  # there is none at all
    assert not Hand(client, state).claim()
    page = text_of(client.get(f"/runs/{run_id}").text)
    assert "No worker supports the backend jax." in page
    assert "launch again with backend tensorflow" in page
