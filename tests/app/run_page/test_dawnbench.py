"""A run as an entry of DAWNBench, and the published entries."""

from __future__ import annotations

import json
import re

import pytest
from fastapi.testclient import TestClient

from app.run_page.dawnbench import HOUR
from app.web.deps import State
from tests.app.board.test_ranking import PLACE, ran
from tests.app.support.cast import Hand, epoch, launch, started


def read(text: str) -> list[tuple[float, float, float]]:
    """(epoch, seconds, share) of each line of a DAWNBench table. Raises ValueError for other texts."""
    head, *lines = [line.split() for line in text.removeprefix("\ufeff").splitlines() if line.strip()] or [[]]
    if [word.lower() for word in head[:3]] != ["epoch", "hours", "top1accuracy"]:
        raise ValueError("its first line is not: epoch, hours, top1Accuracy")
    if any(len(line) < 3 for line in lines):
        raise ValueError("a line has fewer than three columns")
    return [(float(line[0]), HOUR * float(line[1]), float(line[2]) / 100) for line in lines]


def test_the_table_is_read_back_as_the_run_was(client: TestClient, state: State):
    run = ran(client, state, (0.5123, 0.9400, 0.9399), seconds=3.3)

    answer = client.get(f"/api/v1/runs/{run}/dawnbench.tsv")
    assert answer.headers["content-type"].startswith("text/tab-separated-values")
    assert answer.text.splitlines()[0] == "epoch\thours\ttop1Accuracy"
    rows = read(answer.text)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert [row[1] for row in rows] == pytest.approx([3.3, 6.6, 9.9], rel=1e-12)
    assert [row[2] for row in rows] == pytest.approx([0.5123, 0.94, 0.9399], rel=1e-12)
    assert read("\ufeff" + answer.text.replace("\t", " ")) == rows, "as others write theirs"


def test_the_entry_has_what_the_format_asks_and_leaves_the_author_open(client: TestClient, state: State):
    run = ran(client, state, (0.95,), device="NVIDIA H100 80GB", keras="3.15.1", tensorflow="2.21.0")
    answer = client.get(f"/api/v1/runs/{run}/dawnbench.json")
    entry = json.loads(answer.text)

    assert {"version", "author", "authorEmail", "framework", "model", "hardware", "timestamp", "misc"} <= entry.keys()
    assert entry["framework"] == "tensorflow 2.21.0 Keras 3.15.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["timestamp"])
    assert entry["misc"]["recipe"]["epochs"] == 1 and "costPerHour" not in entry
    assert 'filename="AUTHOR_resnet9_NVIDIA-H100-80GB_tensorflow.json"' in answer.headers["content-disposition"]
    client.patch("/api/v1/workers/ada", json={"price_per_hour": 2.5}).raise_for_status()
    assert client.get(f"/api/v1/runs/{run}/dawnbench.json").json()["costPerHour"] == 2.5


def test_epochs_without_validation_are_left_out_and_a_run_without_epochs_has_no_entry(client: TestClient, state: State):
    waits = launch(state)
    assert client.get(f"/api/v1/runs/{waits}/dawnbench.tsv").status_code == 409
    assert client.get("/api/v1/runs/999/dawnbench.json").status_code == 404
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, None), epoch(2, 0.5))
    assert [row[0] for row in read(client.get(f"/api/v1/runs/{waits}/dawnbench.tsv").text)] == [2]


def test_text_that_is_no_table_is_refused():
    for text in ("a\tb\tc\n1\t2\t3\n", "epoch\thours\ttop1Accuracy\n1\tx\t3\n", "", "epoch hours top1Accuracy\n1 2\n"):
        with pytest.raises(ValueError, match=r"first line|could not convert|fewer than three"):
            read(text)
