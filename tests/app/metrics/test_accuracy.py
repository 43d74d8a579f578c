"""The accuracy used for ranking: with test-time augmentation if the recipe enables it, beside the one without."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.web.deps import State
from tests.app.board.test_ranking import PLACE
from tests.app.support.cast import SPACE, Hand, claim, epoch, launch, started
from tests.app.support.queue_verbs import finish as ends
from tests.app.support.queue_verbs import found, rescue, retry, say

RECIPE: dict[str, Any] = {"dataset": {"name": "digits"}, "epochs": 3, "target_accuracy": 0.94}
PLAIN, TTA = (0.5, 0.93, 0.92), (0.6, 0.95, 0.94)


def ran(http: TestClient, state: State, tta: str, *, seed: int = 0, plain: Any = PLAIN, better: Any = TTA) -> int:
    """A run whose trainer reports both accuracies, whatever its recipe enables."""
    http.post("/api/v1/runs", json={"recipe": RECIPE | {"tta": tta, "seed": seed}}).raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    hand.say(started(environment=PLACE))
    for number, (one, other) in enumerate(zip(plain, better, strict=True), 1):
        hand.say(epoch(number, one, tta_accuracy=other, tta_seconds=0.25))
    hand.finish()
    return hand.run


def run(http: TestClient, run_id: int) -> dict[str, Any]:
    return dict(http.get(f"/api/v1/runs/{run_id}").json())


def test_a_target_reached_only_with_tta_counts_if_the_recipe_enables_tta(client: TestClient, state: State):
    with_tta, without = run(client, ran(client, state, "flip")), run(client, ran(client, state, "none"))

    assert with_tta["time_to_target"] == 4.0 and without["time_to_target"] is None
    assert (with_tta["best_val_accuracy"], with_tta["best_plain_accuracy"], with_tta["best_epoch"]) == (0.95, 0.93, 2)
    assert (with_tta["last_val_accuracy"], with_tta["last_plain_accuracy"], with_tta["tta_seconds"]) == (
        0.94,
        0.92,
        0.75,
    )
    assert (without["best_val_accuracy"], without["best_plain_accuracy"]) == (0.93, None)
    assert (without["last_val_accuracy"], without["last_plain_accuracy"], without["tta_seconds"]) == (0.92, None, 0)


def test_epochs_have_both_accuracies_and_val_accuracy_is_without_tta(client: TestClient, state: State):
    with_tta, without = ran(client, state, "six"), ran(client, state, "none")

    rows = client.get(f"/api/v1/runs/{with_tta}/epochs").json()
    assert [(row["val_accuracy"], row["tta_accuracy"], row["tta_seconds"]) for row in rows] == [
        (plain, better, 0.25) for plain, better in zip(PLAIN, TTA, strict=True)
    ]
    rows = client.get(f"/api/v1/runs/{without}/epochs").json()
    assert [(row["val_accuracy"], row["tta_accuracy"], row["tta_seconds"]) for row in rows] == [
        (plain, None, 0.0) for plain in PLAIN
    ]


def test_the_best_epoch_is_by_ranking_accuracy_also_after_epochs_were_replaced(state: State):
    run_id = launch(state, {"tta": "flip"})
    first = claim(state)
    assert first
    say(state, first, started(), epoch(1, 0.9, tta_accuracy=0.5), epoch(2, 0.4, tta_accuracy=0.7, tta_seconds=1.0))
    seen = found(state, run_id)
    assert (seen.best_epoch, seen.best_val_accuracy, seen.best_plain_accuracy) == (2, 0.7, 0.4)

    rescue(state, first)
    second = claim(state)
    assert second
    say(state, second, started(resumed_from_epoch=1), epoch(2, 0.8, tta_accuracy=0.45, tta_seconds=0.5))
    seen = found(state, run_id)
    assert (seen.best_epoch, seen.best_val_accuracy, seen.best_plain_accuracy) == (1, 0.5, 0.9)
    assert (seen.last_val_accuracy, seen.last_plain_accuracy, seen.tta_seconds) == (0.45, 0.8, 0.5)

    ends(state, second, "cancelled")
    retry(state, run_id, "scratch")
    seen = found(state, run_id)
    assert (seen.last_plain_accuracy, seen.best_plain_accuracy, seen.tta_seconds) == (None, None, 0.0)


def test_the_board_ranks_with_tta_and_shows_the_accuracy_without(client: TestClient, state: State):
    with_tta = ran(client, state, "flip")
    without = ran(client, state, "none", plain=(0.5, 0.935, 0.935), better=(None, None, None))

    first, second = client.get("/api/v1/board?dataset=digits&metric=accuracy").json()["rows"]
    assert (first["runs"], first["tta"], first["value"], first["plain_accuracy"]) == ([with_tta], True, 0.94, 0.92)
    assert (first["plain_best_accuracy"], first["reached"]) == (0.93, 1)
    assert (second["runs"], second["tta"], second["plain_accuracy"]) == ([without], False, None)

    for metric in ("accuracy", "best_accuracy", "time_to_target"):
        page = client.get(f"/board?dataset=digits&metric={metric}").text
        plain = "93.00" if metric == "best_accuracy" else "92.00"
        assert f"{plain}{SPACE}% without TTA" in page
        assert "TTA flip, 2 forward passes" in page and "no TTA" in page


def test_a_group_uses_tta_and_shows_the_accuracy_without(client: TestClient, state: State):
    runs = [ran(client, state, "six", seed=seed) for seed in range(2)]
    group = run(client, runs[0])["recipe_hash"]

    found = client.get(f"/api/v1/groups/{group}").json()
    assert (found["tta"], found["final_accuracy"]["mean"], found["plain_final_accuracy"]["mean"]) == (True, 0.94, 0.92)
    assert (found["best_accuracy"]["max"], found["plain_best_accuracy"]["max"]) == (0.95, 0.93)
    assert found["reached"]["count"] == 2

    page = client.get(f"/groups/{group}").text
    assert f"92.00{SPACE}% without TTA" in page and "TTA six, 6 forward passes" in page and "Mean without TTA" in page


def test_every_page_and_file_shows_both_accuracies(client: TestClient, state: State):
    run_id = ran(client, state, "flip")
    plain = f"93.00{SPACE}% without TTA"

    page = client.get(f"/runs/{run_id}").text
    assert plain in page and f"92.00{SPACE}% without TTA" in page
    assert "TTA flip, 2 forward passes per validation image; this took 0.8" in page
    assert '"field": "tta_accuracy"' in page and '<th scope="col">with TTA</th>' in page
    for address in ("/", "/runs", "/compare?runs=1"):
        assert plain in client.get(address).text, address

    side = client.get(f"/api/v1/compare?runs={run_id}").json()
    assert (side["sides"][0]["plain"], side["sides"][0]["plain_best"]) == (0.92, 0.93)
    assert (side["sides"][0]["tta"], side["curves"]["traces"][0]["y"]) == ("flip", [*TTA])
    assert client.get(f"/api/v1/compare?runs={run_id}&field=val_accuracy").json()["curves"]["traces"][0]["y"] == [
        *PLAIN
    ]

    report = client.post("/reports", data={"runs": str(run_id)}).text
    assert f"93.00{SPACE}% without TTA" in report and "Without TTA" in report and "TTA flip, 2 forward passes" in report

    entry = client.get(f"/api/v1/runs/{run_id}/dawnbench.json").json()["misc"]["testTimeAugmentation"]
    assert entry == {"views": "flip", "forwardPasses": 2, "seconds": 0.75, "plainTop1Accuracy": 92.0}
    table = client.get(f"/api/v1/runs/{run_id}/dawnbench.tsv").text.splitlines()
    assert [float(line.split("\t")[2]) for line in table[1:]] == pytest.approx([60.0, 95.0, 94.0])


def test_lists_sort_by_ranking_accuracy_and_exports_have_both(client: TestClient, state: State):
    with_tta, without = ran(client, state, "flip"), ran(client, state, "none", plain=(0.5, 0.94, 0.93))
    asked = {"sort": "-counted_accuracy@2", "column": ["counted_accuracy@2", "last_val_accuracy"]}

    head, *rows = csv.reader(io.StringIO(client.get("/api/v1/runs.csv", params=asked).text))
    assert head[4:] == [
        "counted_accuracy@2", "val_accuracy@2", "last_val_accuracy", "last_plain_accuracy", "last_epoch", "recipe.tta",
    ]  # fmt: skip
    assert rows[0][:1] + rows[0][4:] == [str(with_tta), "0.95", "0.93", "0.94", "0.92", "3", "flip"]
    assert rows[1][:1] + rows[1][4:] == [str(without), "0.94", "0.94", "0.93", "", "3", "none"]
    by_plain = client.get("/api/v1/runs?sort=-val_accuracy@2").json()["runs"]
    assert [one["id"] for one in by_plain] == [without, with_tta]


def test_runs_from_before_tta_have_no_tta(client: TestClient, state: State):
    run_id = ran(client, state, "none")
    with state.records.write() as session:
        session.execute(text("UPDATE runs SET recipe = jsonb_remove(recipe, '$.tta')"))

    assert run(client, run_id)["best_plain_accuracy"] is None
    (row,) = client.get("/api/v1/board?dataset=digits").json()["rows"]
    assert row["tta"] is False
    addresses = (f"/runs/{run_id}", "/runs", "/board?dataset=digits", f"/groups/{run(client, run_id)['recipe_hash']}")
    for address in addresses:
        page = client.get(address)
        assert page.status_code == 200 and "TTA;" not in page.text, address
    assert client.post("/reports", data={"runs": str(run_id)}).status_code == 200
