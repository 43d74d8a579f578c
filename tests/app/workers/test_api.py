"""The worker's verbs over HTTP: a claim that waits, and reports that are wrong or strange."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import launched
from tests.app.support.cast import Hand, epoch, started


def test_a_claim_that_waits_gets_a_run_as_soon_as_there_is_one(client: TestClient, state: State):
    body = {"worker": "ada", "device": "cpu", "backends": ["tensorflow"], "wait_s": 20}
    headers = {"Authorization": f"Bearer {state.tokens.worker}"}
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(client.post("/api/v1/worker/claim", json=body, headers=headers))
    )
    waiting.start()
    run_id = launched(client)["id"]
    waiting.join(10)

    assert [(answer.status_code, answer.json()["run"]) for answer in answers] == [(200, run_id)]
    assert client.get("/api/v1/workers").json()[0]["present"] is True


def test_worker_s_reports_are_checked_too(client: TestClient, state: State):
    launched(client)
    hand = Hand(client, state)
    hand.claim()

    bad: list[dict[str, Any]] = [
        {"first_seq": -1},
        {"first_seq": 2**62},
        {"log_offset": -1},
        {"events": [{"event": "epoch", "epoch": 0}]},
        {"events": [epoch(1) | {"seconds": -1}]},
        {"events": "x"},
        {"unknown": 1},
        {"log": 3},
        {"log": "\ud800"},
    ]
    for body in bad:
        assert hand.post("report", **body).status_code == 422, body
    assert hand.post("finish", outcome="lost").status_code == 422
    assert hand.post("finish", outcome="failed", reason="x" * 4001).status_code == 422
    assert client.get(f"/api/v1/runs/{hand.run}").json()["status"] == "starting"


@pytest.mark.parametrize(
    "said",
    [
        epoch(10**30),
        epoch(2**63),
        epoch(1, 0.5, seconds=1e400),
        started(environment={"device": "\ud800"}),
        started(resumed_from_epoch=10**30),
        epoch(1) | {"more": "\ud800"},
        epoch(1) | {"learning_rate": float("nan")},
    ],
    ids=["huge epoch", "just too large", "endless", "surrogate", "huge resume", "unknown surrogate", "no rate"],
)
def test_a_strange_event_never_breaks_the_run_s_page(client: TestClient, state: State, said: dict[str, Any]):
    launched(client)
    hand = Hand(client, state)
    hand.claim()

    answer = hand.post("report", first_seq=0, events=[started(), said] if said["event"] != "started" else [said])

    assert answer.status_code in {200, 422}, answer.text
    for address in ("/api/v1/runs/1", "/api/v1/runs/1/epochs", "/runs/1", "/api/v1/runs", "/"):
        assert client.get(address).status_code == 200
