"""A finished run whose result may be worthless says so in records, JSON, exports and on every page that shows it."""

from __future__ import annotations

import json

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.records.models import Event, Run
from app.web.deps import State
from app.webhooks.messages import message_body
from tests.app.support.cast import SMALL, SPACE, Hand, epoch, started, trained
from tests.app.support.queue_verbs import attempt_of, found
from trainer.data.predictions import pack

SENTENCE = (
    f"It is no better than guessing: 9.33{SPACE}% of 300 validation images are right, guessing gets 10.00{SPACE}%."
)


def test_a_run_at_chance_has_succeeded_with_that_concern(client: TestClient, state: State):
    run_id = trained(client, state, (0.11, 28 / 300))

    run = client.get(f"/api/v1/runs/{run_id}").json()

    assert (run["status"], run["concern"], run["concern_sentence"]) == ("succeeded", "at_chance", SENTENCE)
    assert (run["val_images"], run["classes"]) == (300, 10)
    assert attempt_of(state, run_id).outcome == "succeeded"


def test_a_run_that_learned_has_none(client: TestClient, state: State):
    run = client.get(f"/api/v1/runs/{trained(client, state)}").json()

    assert (run["concern"], run["concern_sentence"]) == (None, None)


def test_a_run_that_fell_from_its_best_names_that_epoch(client: TestClient, state: State):
    fallen = trained(client, state, (0.5, 0.9, *[0.6] * 9))
    collapsed = trained(client, state, (0.9, 0.1))

    assert client.get(f"/api/v1/runs/{fallen}").json()["concern_sentence"] == (
        f"Its best epoch lies long before its end: 90.00{SPACE}% in epoch 2, 60.00{SPACE}% in epoch 11."
    )
    assert (
        f"its best was 90.00{SPACE}% in epoch 1" in client.get(f"/api/v1/runs/{collapsed}").json()["concern_sentence"]
    )


def test_a_run_that_predicts_one_class_is_at_chance_and_a_run_with_garbage_for_predictions_ends(
    client: TestClient, state: State
):
    for seed, packed in enumerate((pack(np.zeros(300, np.uint8)), "garbage")):
        client.post("/api/v1/runs", json={"recipe": SMALL | {"seed": seed}}).raise_for_status()
        hand = Hand(client, state)
        assert hand.claim()
        hand.say(started(classes=["cat", "dog"]), epoch(1, 0.7), epoch(2, 0.7, predictions=packed))
        hand.finish()

    assert [found(state, run).concern for run in (1, 2)] == ["at_chance", None]
    assert "the same class for every validation image" in client.get("/runs/1").text


def test_a_failed_run_has_no_concern(client: TestClient, state: State):
    client.post("/api/v1/runs", json={"recipe": SMALL}).raise_for_status()
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.1))
    hand.finish("failed", failure="diverged", reason="The loss is not a number.")

    run = found(state, hand.run)
    assert (run.status, run.concern) == ("failed", None)


def test_lists_filter_by_concern_and_export_it(client: TestClient, state: State):
    guessed, learned = trained(client, state, (0.1, 0.1), name="guessed"), trained(client, state, name="learned")

    filtered = client.get("/api/v1/runs", params={"where": "concern!=null"}).json()["runs"]
    exported = client.get("/api/v1/runs.csv", params={"column": "concern", "sort": "id"}).text.splitlines()

    assert [run["id"] for run in filtered] == [guessed]
    assert [line.rsplit(",", 1)[-1] for line in exported] == ["concern", "at_chance", ""]
    page = client.get("/runs", params={"where": "concern=at_chance"}).text
    assert "guessed" in page and f'data-run="{learned}"' not in page


def test_every_page_that_shows_the_run_shows_its_concern_beside_finished(client: TestClient, state: State):
    run_id = trained(client, state, (0.11, 28 / 300))
    recipe_hash = client.get(f"/api/v1/runs/{run_id}").json()["recipe_hash"]

    page = client.get(f"/runs/{run_id}").text
    assert "Finished: no better than guessing" in page and SENTENCE in page and "Succeeded" not in page
    for address in ("/", "/runs", f"/groups/{recipe_hash}"):
        assert "Finished: no better than guessing" in client.get(address).text, address
    for address in ("/board?metric=accuracy&dataset=digits", f"/groups/{recipe_hash}"):
        assert '<span class="concern">no better than guessing</span>' in client.get(address).text, address
    assert "finished: no better than guessing" in client.get(f"/runs/{run_id}/timeline").text
    (row,) = client.get("/api/v1/board?metric=accuracy&dataset=digits").json()["rows"]
    assert row["concerns"] == client.get(f"/api/v1/groups/{recipe_hash}").json()["concerns"] == {"at_chance": 1}


def test_events_and_messages_name_the_concern(client: TestClient, state: State):
    run_id = trained(client, state, (0.1, 0.1), name="guessed")

    with state.records.read() as session:
        told = select(Event.data).where(Event.run_id == run_id, Event.kind == "status").order_by(Event.id.desc())
        run = session.scalars(told.limit(1)).one()
        assert session.get_one(Run, run_id).concern == run["concern"] == "at_chance"
    assert json.loads(message_body("json", run, ""))["run"]["status"] == "succeeded"
    assert json.loads(message_body("slack", run, ""))["text"] == (
        "guessed finished after 2 of 4 epochs, best accuracy 10.00% in epoch 1: no better than guessing."
    )
