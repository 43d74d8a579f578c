"""Published results: each with its date, hardware, clock and source, beside a board of CIFAR-10."""

from __future__ import annotations

import re
from html import unescape

from fastapi.testclient import TestClient

from app.board.published import load_published


def test_published_results_are_named_dated_and_at_94_percent():
    rows = load_published()
    assert len(rows) > 30
    assert [row.seconds for row in rows] == sorted(row.seconds for row in rows)
    for row in rows:
        assert row.name and row.hardware and row.source and row.clock and row.runs, row
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", row.date), row
        assert 0.94 <= row.accuracy < 1 and row.seconds > 0, row
        assert row.epochs is None or row.epochs > 0, row
    assert len({(row.name, row.hardware, row.date, row.seconds) for row in rows}) == len(rows)
    newest, exact = rows[0], rows[1]
    assert (newest.seconds, newest.date, newest.hardware, newest.runs) == (1.99, "2025-10-16", "A100", "not stated")
    assert (newest.source, newest.epochs) == ("hiverge.ai/blog/cifar-speedrun", None)
    assert (exact.seconds, exact.runs) == (2.015, "mean of 2,000")
    original = next(row for row in rows if row.name == "The original experiment")
    assert (round(original.seconds), original.accuracy) == (416, 0.941)


def test_what_its_authors_did_not_state_is_said_and_not_made_up(client: TestClient):
    page = client.get("/board", params={"dataset": "cifar10", "published": True, "metric": "accuracy"}).text
    row = re.search(r"<tr><th[^>]*>Hiverge speedrun, below 2 s<.*?</tr>", page, re.DOTALL)
    assert row is not None
    cells = [unescape(text).replace("\u202f", " ") for text in re.findall(r"<td[^>]*>([^<]*)", row[0])]
    assert cells == [
        "2025-10-16", "1.99 s", "94.00 %", "–", "not stated", "A100", "not stated"
    ]  # fmt: skip
