"""The board: which runs are included, how rows are ranked, which rows are tied with the first."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import Hand, epoch, started

SMALL = {"dataset": {"name": "digits"}, "epochs": 3}
PLACE = {"dataset_fingerprint": "f" * 64, "device": "Some GPU", "cpu": "Some CPU", "pitwall": "1"}


def ran(
    http: TestClient,
    state: State,
    accuracies: tuple[float, ...],
    *,
    seed: int = 0,
    lr: float = 0.1,
    seconds: float = 2.0,
    worker: str = "ada",
    **place: Any,
) -> int:
    """A run from its launch to its end."""
    recipe = SMALL | {"epochs": len(accuracies), "seed": seed, "schedule": {"kind": "constant", "lr": lr}}
    http.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
    hand = Hand(http, state, worker)
    assert hand.claim()
    hand.say(started(environment=PLACE | place))
    hand.say(*(epoch(number, accuracy, seconds) for number, accuracy in enumerate(accuracies, 1)))
    hand.finish()
    return hand.run


def board(http: TestClient, **query: Any) -> dict[str, Any]:
    answer = http.get("/api/v1/board", params={"dataset": "digits"} | query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_row_is_a_recipe_ranked_by_the_median_time_of_its_seeds(client: TestClient, state: State):
    slow = [ran(client, state, (0.5, 0.95, 0.96), seed=seed, lr=0.1, seconds=9.0 + seed) for seed in range(3)]
    fast = [ran(client, state, (0.5, 0.95, 0.93), seed=seed, lr=0.2, seconds=3.0 + seed) for seed in range(3)]

    first, second = board(client)["rows"]
    assert (first["rank"], first["runs"], first["value"]) == (1, fast, 8.0)
    assert (second["rank"], second["runs"], second["value"]) == (2, slow, 20.0)
    assert (first["n"], first["reached"], first["missed"]) == (3, 3, 0)
    assert first["mean"] == pytest.approx(8.0) and first["min"] == 6.0 and first["max"] == 10.0
    assert first["recipe"]["schedule"]["lr"] == 0.2

    by_accuracy = board(client, metric="accuracy")["rows"]
    assert [row["runs"] for row in by_accuracy] == [slow, fast]
    assert by_accuracy[0]["value"] == pytest.approx(0.96) and by_accuracy[0]["sd"] == pytest.approx(0.0)


def test_a_miss_is_longer_than_any_time(client: TestClient, state: State):
    for seed, best in enumerate((0.95, 0.5, 0.5)):
        ran(client, state, (0.4, best), seed=seed, lr=0.1, seconds=1.0)
    for seed in range(3):
        ran(client, state, (0.4, 0.95), seed=seed, lr=0.2, seconds=50.0)

    sure, lucky = board(client)["rows"]
    assert (sure["rank"], sure["value"]) == (1, 100.0)
    assert (lucky["rank"], lucky["value"], lucky["reached"], lucky["missed"], lucky["n"]) == (None, None, 1, 2, 3)
    assert lucky["mean"] == 2.0, "of the run that reached the target"


def test_the_target_is_a_query_parameter(client: TestClient, state: State):
    ran(client, state, (0.5, 0.7, 0.9), seconds=2.0)
    assert [board(client, target=target)["rows"][0]["value"] for target in (0.5, 0.6, 0.9)] == [2.0, 4.0, 6.0]
    assert board(client, target=0.91)["rows"][0]["reached"] == 0
    assert board(client, metric="epochs_to_target", target=0.6)["rows"][0]["value"] == 2


def test_each_seed_is_included_once_and_cancelled_runs_are_excluded(client: TestClient, state: State):
    first = ran(client, state, (0.5, 0.95))
    ran(client, state, (0.5, 0.99))
    client.post("/api/v1/runs", json={"recipe": SMALL | {"epochs": 2, "schedule": {"kind": "constant", "lr": 0.1}}})
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, 0.3))
    hand.finish("cancelled")
    other = SMALL | {"epochs": 2, "seed": 7, "schedule": {"kind": "constant", "lr": 0.1}}
    client.post("/api/v1/runs", json={"recipe": other})
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, 0.3))
    hand.say({"event": "failed", "kind": "diverged", "message": "The loss is no number."})
    hand.finish("failed", exit_code=1)

    (row,) = board(client)["rows"]
    assert (row["runs"][0], row["n"], row["replays"], row["excluded"]) == (first, 2, 1, 1)
    assert (row["reached"], row["missed"]) == (1, 1), "a run that diverged is a miss"
    assert board(client, metric="accuracy")["rows"][0]["value"] == 0.95


def test_boards_mix_hardware_only_on_request_and_versions_of_the_data_never(client: TestClient, state: State):
    for seed in range(2):
        ran(client, state, (0.95,), seed=seed, device="GPU one")
    ran(client, state, (0.95,), seconds=0.1, device="GPU two")
    ran(client, state, (0.95,), seconds=0.1, device="GPU one", dataset_fingerprint="e" * 64)

    default = board(client)
    assert (default["hardware"], [row["hardware"] for row in default["rows"]]) == ("GPU one", ["GPU one"])
    assert default["all_hardware"] == {"GPU one": 2, "GPU two": 1}
    mixed = board(client, hardware="all")
    assert [row["hardware"] for row in mixed["rows"]] == ["GPU two", "GPU one"]
    assert [row["n"] for row in board(client, fingerprint="e" * 64)["rows"]] == [1]


def test_cost_needs_the_price_of_the_worker(client: TestClient, state: State):
    ran(client, state, (0.5, 0.95), seconds=1800.0)
    found = board(client, metric="cost")
    assert (found["metric"], found["rows"][0]["value"]) == ("accuracy", 0.95)
    assert found["notice"] == "Cost to target was not measured: ranked by final accuracy instead."

    assert client.patch("/api/v1/workers/ada", json={"price_per_hour": 3.0}).json()["price_per_hour"] == 3.0
    (row,) = board(client, metric="cost")["rows"]
    assert (row["rank"], row["value"]) == (1, 3.0)
    assert board(client, metric="energy")["metric"] == "accuracy"


def test_a_single_run_has_no_spread(client: TestClient, state: State):
    ran(client, state, (0.5, 0.95))
    row = board(client)["rows"][0]
    assert (row["n"], row["sd"], row["interval"], row["is_like_first"]) == (1, None, None, True)


def test_a_diverged_run_is_a_miss_even_if_it_reached_the_target_before(client: TestClient, state: State):
    for seed in range(2):
        client.post(
            "/api/v1/runs", json={"recipe": SMALL | {"seed": seed, "schedule": {"kind": "constant", "lr": 0.1}}}
        )
        hand = Hand(client, state)
        assert hand.claim()
        hand.say(started(environment=PLACE), epoch(1, 0.95))
        hand.say({"event": "failed", "kind": "diverged", "message": "The loss is no number."})
        hand.finish("failed", exit_code=1)
    ran(client, state, (0.5, 0.9, 0.93), seed=2)

    found = board(client)
    (row,) = found["rows"]
    assert (row["n"], row["reached"], row["missed"], row["diverged"], row["rank"]) == (3, 0, 3, 2, 1)
    assert found["notice"] == (
        "No recipe reached 94.00 % in more than half of its runs: ranked by final accuracy instead."
    )
    assert found["notice"] in client.get("/board?dataset=digits").text
    (row,) = board(client, metric="accuracy")["rows"]
    assert (row["value"], row["diverged"], row["unmeasured"]) == (0.93, 2, 0)
    assert "2 diverged" in client.get("/board?dataset=digits&metric=accuracy").text


def test_an_unmeasured_run_is_neither_a_number_nor_a_miss(client: TestClient, state: State):
    ran(client, state, (0.5, 0.95), seed=0, worker="ada")
    for seed, last in ((1, 0.95), (2, 0.6)):
        ran(client, state, (0.5, last), seed=seed, worker="eve")
    client.patch("/api/v1/workers/ada", json={"price_per_hour": 3600.0}).raise_for_status()

    (row,) = board(client, metric="cost")["rows"]
    assert (row["rank"], row["value"], row["missed"], row["unmeasured"]) == (1, 4.0, 0, 2)


def test_unknown_hardware_is_an_error_in_json_and_ignored_by_the_page(client: TestClient, state: State):
    ran(client, state, (0.95,))
    for field in ("hardware", "fingerprint"):
        answer = client.get("/api/v1/board", params={"dataset": "digits", field: "nope"})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert "resnet9 digits" in client.get("/board", params={"dataset": "digits", field: "nope"}).text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"metric": "luck"}, "metric"),
        ({"target": 0}, "target"),
        ({"target": 1}, "target"),
        ({"target": "nan"}, "target"),
        ({"limit": 0}, "limit"),
        ({"group_by": "seed"}, "group_by"),
    ],
)
def test_an_invalid_query_names_its_field(client: TestClient, query: dict[str, Any], field: str):
    answer = client.get("/api/v1/board", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
