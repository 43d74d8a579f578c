"""JSON under /api/v1 as the tests of it ask: launch a run, count them, page through them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from fastapi.testclient import TestClient

from tests.app.support.cast import SMALL

JSON = {"Content-Type": "application/json"}


def launched(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/runs", json={"recipe": SMALL} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["runs"][0])


def count(client: TestClient) -> int:
    return sum(1 for _ in paged(client, limit=500))


def paged(client: TestClient, **question: Any) -> Iterator[dict[str, Any]]:
    """Every run of a list, page after page."""
    for page in itertools.count():
        answer = client.get("/api/v1/runs", params=question)
        assert answer.status_code == 200, answer.text
        yield from answer.json()["runs"]
        question["cursor"] = answer.json()["next_cursor"]
        if question["cursor"] is None:
            return
        assert page < 100
