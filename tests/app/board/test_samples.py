"""The cache of samples: the same boards as without it, whatever happens to a run."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select

from app.board.samples import CACHE_SIZE, COLUMNS
from app.web.deps import State
from tests.app.board.test_ranking import PLACE, board, ran
from tests.app.support.cast import Hand, epoch, started


@pytest.fixture
def reads(state: State) -> list[str]:
    """The statements that read the runs of a board, as they are executed."""
    columns = str(select(*COLUMNS)).partition("\nFROM")[0].rstrip()
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(columns):
            found.append(statement)

    with state.records.read() as session:
        event.listen(session.get_bind().engine, "before_cursor_execute", note)
    return found


def accuracies(http: TestClient) -> list[Any]:
    return [(row["runs"], row["mean"]) for row in board(http, metric="accuracy")["rows"]]


def test_a_board_is_read_again_only_after_a_run_changed(client: TestClient, state: State, reads: list[str]):
    one = ran(client, state, (0.5, 0.9))
    first = accuracies(client)
    assert first == [([one], 0.9)]
    assert accuracies(client) == first
    assert board(client, metric="time_to_target", target=0.85)["rows"][0]["value"] == 4.0
    assert len(reads) == 1

    other = ran(client, state, (0.5, 0.8), seed=1)
    assert accuracies(client) == [([one, other], pytest.approx(0.85))]
    assert len(reads) == 2


def test_a_deleted_run_leaves_the_board(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.9)), ran(client, state, (0.5, 0.8), seed=1)
    assert accuracies(client) == [([one, other], pytest.approx(0.85))]
    client.delete(f"/api/v1/runs/{one}").raise_for_status()
    assert accuracies(client) == [([other], 0.8)]


def test_a_retried_run_shows_its_new_result(client: TestClient, state: State):
    """At the same time and with the same id: only its attempt differs."""
    one = ran(client, state, (0.5, 0.9))
    diverged = diverging(client, state)
    before = board(client, metric="accuracy")["rows"]
    assert sorted(row["runs"] for row in before) == [[one], [diverged]]
    client.post(f"/api/v1/runs/{diverged}/retry", json={"from": "scratch"}).raise_for_status()
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, 0.4), epoch(2, 0.7))
    hand.finish()
    assert accuracies(client) == [([one], 0.9), ([diverged], 0.7)]


def diverging(http: TestClient, state: State) -> int:
    recipe = {"dataset": {"name": "digits"}, "epochs": 2, "schedule": {"kind": "constant", "lr": 3}}
    http.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, 0.6))
    hand.say({"event": "failed", "kind": "diverged", "message": "no number", "hint": ""})
    hand.finish("failed", exit_code=1)
    return hand.run


def test_the_cache_keeps_no_more_boards_than_its_size(client: TestClient, state: State, reads: list[str]):
    devices = [f"GPU {number}" for number in range(CACHE_SIZE + 1)]
    for device in devices:
        ran(client, state, (0.5, 0.9), device=device)
    for _ in range(2):
        for device in devices:
            assert len(board(client, hardware=device)["rows"]) == 1
    assert len(reads) == 2 * len(devices)
