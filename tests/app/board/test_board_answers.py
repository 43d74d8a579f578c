"""A board that always answers: its target, its fallback, its filters, the ranks and verdicts of its rows."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.board.test_ranking import PLACE, SMALL, board, ran
from tests.app.support.cast import Hand, epoch, started


def aim(
    http: TestClient, state: State, target: float, accuracy: float, seed: int = 0, tags: tuple[str, ...] = ()
) -> int:
    """A run with a target of its own."""
    recipe = SMALL | {"epochs": 1, "seed": seed, "target_accuracy": target}
    http.post("/api/v1/runs", json={"recipe": recipe, "tags": list(tags)}).raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, accuracy))
    hand.finish()
    return hand.run


def test_the_target_is_the_one_that_most_runs_have_unless_another_is_chosen(client: TestClient, state: State):
    for seed, target in enumerate((0.7, 0.7, 0.9)):
        aim(client, state, target, 0.8, seed)
    assert board(client)["target"] == 0.7
    assert (board(client)["rows"][0]["reached"], board(client, target=0.9)["rows"][0]["reached"]) == (3, 0)
    assert 'name="target" value="0.7"' in client.get("/board?target=").text


def test_where_no_recipe_reaches_the_target_it_ranks_by_final_accuracy_and_says_so(client: TestClient, state: State):
    worse = [ran(client, state, (0.5, 0.6), seed=seed, lr=0.1) for seed in range(2)]
    better = [ran(client, state, (0.5, 0.7), seed=seed, lr=0.2) for seed in range(2)]
    for metric in ("time_to_target", "epochs_to_target", "energy", "cost"):
        found = board(client, metric=metric)
        assert (found["metric"], found["requested_metric"], found["unit"]) == ("accuracy", metric, "share")
        assert [(row["rank"], row["runs"], row["value"]) for row in found["rows"]] == [
            (1, better, 0.7),
            (2, worse, 0.6),
        ]
        assert found["notice"] == (
            "No recipe reached 94.00 % in more than half of its runs: ranked by final accuracy instead."
        )
        assert found["notice"] in client.get("/board", params={"dataset": "digits", "metric": metric}).text
    assert board(client, metric="accuracy")["notice"] is None
    assert board(client, target=0.65)["metric"] == "time_to_target"


def test_a_board_can_be_limited_to_a_tag_and_to_the_last_days(client: TestClient, state: State):
    one, other = aim(client, state, 0.7, 0.8, 0, ("night",)), aim(client, state, 0.7, 0.9, 1)
    assert board(client)["rows"][0]["runs"] == [one, other]
    assert board(client, tag="night")["rows"][0]["runs"] == [one]
    assert board(client, tag="none")["rows"] == []
    assert board(client, days=1)["rows"][0]["runs"] == [one, other]
    assert board(client, days=1e-9)["rows"] == []
    assert "<option selected>night</option>" in client.get("/board?tag=night&days=&target=").text


def test_rows_have_the_ranks_that_they_may_have_and_a_verdict_beside_the_first(client: TestClient, state: State):
    for seed in range(5):
        for lr, accuracy in ((0.1, 0.95), (0.2, 0.9501), (0.3, 0.5)):
            ran(client, state, (accuracy + 0.001 * seed,), seed=seed, lr=lr)
    first, second, third = board(client, metric="accuracy")["rows"]

    assert [row["ranks"] for row in (first, second, third)] == [[1, 2], [1, 2], [3, 3]]
    assert [row["is_like_first"] for row in (first, second, third)] == [True, True, False]
    assert first["verdict"] is None
    assert (second["verdict"]["verdict"], second["verdict"]["n"]) == ("undecided", [5, 5])
    assert (third["verdict"]["verdict"], third["verdict"]["looks_left"]) == ("worse", 30)
    low, high = third["verdict"]["interval"]
    assert third["verdict"]["difference"] == pytest.approx(-0.4501)
    assert low < -0.4501 < high
    page = client.get("/board?metric=accuracy&dataset=digits").text
    assert "Judged together: all 3 pairs of rows shown." in page and "−45.01 points" in page


def test_beside_a_pinned_baseline_each_row_is_judged_by_it_wherever_it_stands(client: TestClient, state: State):
    for seed in range(4):
        for lr, accuracy in ((0.1, 0.9), (0.2, 0.8), (0.3, 0.5)):
            ran(client, state, (accuracy + 0.001 * seed,), seed=seed, lr=lr)
    hashes = [row["recipe_hash"] for row in board(client, metric="accuracy")["rows"]]
    client.put("/api/v1/datasets/digits/baseline", json={"recipe_hash": hashes[1]}).raise_for_status()

    found = board(client, metric="accuracy")
    assert (found["baseline"], found["comparisons"]) == (hashes[1], 2)
    assert [row["is_baseline"] for row in found["rows"]] == [False, True, False]
    assert [row["verdict"] and row["verdict"]["verdict"] for row in found["rows"]] == ["better", None, "worse"]
    assert [row["ranks"] for row in found["rows"]] == [[1, 1], [2, 2], [3, 3]]
    short = board(client, metric="accuracy", limit=1)
    assert [(row["rank"], row["is_baseline"]) for row in short["rows"]] == [(1, False), (2, True)], "it is always there"
    assert "Beside the baseline" in client.get("/board?metric=accuracy&dataset=digits").text


def test_the_seeds_that_would_tell_come_with_the_time_that_they_take(client: TestClient, state: State):
    for seed in range(4):
        ran(client, state, (0.9 + 0.01 * seed,), seed=seed, lr=0.1, seconds=3.0)
        ran(client, state, (0.88 + 0.01 * seed,), seed=seed, lr=0.2, seconds=5.0)
    verdict = board(client, metric="accuracy")["rows"][1]["verdict"]
    assert verdict["verdict"] == "undecided" and verdict["seeds_needed"] > 0
    assert verdict["seconds_needed"] == pytest.approx(verdict["seeds_needed"] * 8.0)


def test_rows_on_different_hardware_are_shown_and_not_judged(client: TestClient, state: State):
    for seed in range(4):
        ran(client, state, (0.9,), seed=seed, device="GPU one")
        ran(client, state, (0.5,), seed=seed, device="GPU two")
    rows = board(client, metric="accuracy", hardware="all")["rows"]
    assert [(row["ranks"], row["verdict"], row["is_like_first"]) for row in rows] == [(None, None, False)] * 2


def test_the_speed_counts_only_images_that_were_trained(client: TestClient, state: State):
    """1,497 images in batches of 512: disjoint mixup makes one batch of each two, a dropped last batch loses 473."""
    found = {}
    changes: dict[str, dict[str, Any]] = {
        "all": {},
        "mixup": {"mixup": {"pairing": "disjoint"}},
        "drop": {"last_batch": "drop"},
    }
    for name, change in changes.items():
        client.post(
            "/api/v1/runs", json={"recipe": SMALL | {"epochs": 1, "batch_size": 512} | change}
        ).raise_for_status()
        hand = Hand(client, state)
        assert hand.claim()
        steps = {"all": 3, "mixup": 1, "drop": 2}[name]
        hand.say(started(environment=PLACE, steps_per_epoch=steps), epoch(1, 0.5, 2.0))
        hand.finish()
        rows = board(client, metric="images_per_second")["rows"]
        found[name] = next(row["value"] for row in rows if row["runs"] == [hand.run])
    assert found == {"all": 1497 / 2, "mixup": 512 / 2, "drop": 1024 / 2}


def test_a_settle_from_a_board_is_judged_with_the_other_rows_of_the_board(client: TestClient, state: State):
    """Ten rows: the pair alone would be decided at once, by the runs that made somebody choose it."""
    for seed in range(5):
        for row in range(10):
            ran(client, state, (0.7 + 0.02 * seed - 0.08 * (row == 9),), seed=seed, lr=0.01 * (row + 1))
    rows = board(client, metric="accuracy")["rows"]
    pair = {"baseline": rows[0]["recipe_hash"], "candidate": rows[9]["recipe_hash"], "metric": "accuracy"}
    assert rows[9]["verdict"]["verdict"] == "undecided"

    alone = client.post("/api/v1/verdicts", json=pair).json()
    together = client.post("/api/v1/verdicts", json=pair | {"family": "board"}).json()
    assert (alone["verdict"], alone["comparisons"]) == ("worse", 1)
    assert (together["verdict"], together["comparisons"]) == ("undecided", 45)
    settle = client.post("/api/v1/settles", json=pair | {"family": "board"}).json()
    assert (settle["status"], settle["comparisons"]) == ("running", 45)
    assert "one of the 45 comparisons of the board" in client.get(f"/settles/{settle['settle']}").text


def test_rows_that_were_validated_on_other_images_are_ranked_and_not_judged(client: TestClient, state: State):
    for seed in range(4):
        ran(client, state, (0.9,), seed=seed)
        recipe = SMALL | {"dataset": {"name": "digits", "val_limit": 100}, "epochs": 1, "seed": seed}
        client.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
        hand = Hand(client, state)
        assert hand.claim()
        hand.say(started(environment=PLACE, val_images=100), epoch(1, 0.5))
        hand.finish()
    first, other = board(client, metric="accuracy")["rows"]
    assert (first["ranks"], other["rank"], other["ranks"], other["verdict"]) == ([1, 1], 2, None, None)
    assert "not comparable: validated on other images" in client.get("/board?metric=accuracy&dataset=digits").text


def test_a_rank_may_be_anything_that_hidden_rows_allow(client: TestClient, state: State):
    for row in range(4):
        for seed in range(4):
            ran(client, state, (0.9 - 0.1 * row + 0.001 * seed,), seed=seed, lr=0.1 * (row + 1))
    assert [row["ranks"] for row in board(client, metric="accuracy", limit=2)["rows"]] == [[1, 3], [2, 4]]


def test_diverged_runs_count_against_a_recipe(client: TestClient, state: State):
    for seed in range(9):
        ran(client, state, (0.9 + 0.001 * seed,), seed=seed, lr=0.1)
        recipe = SMALL | {"epochs": 1, "seed": seed, "schedule": {"kind": "constant", "lr": 0.2}}
        client.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
        hand = Hand(client, state)
        assert hand.claim()
        hand.say(started(environment=PLACE))
        if seed:
            hand.say({"event": "failed", "kind": "diverged", "message": "The loss is no number."})
            hand.finish("failed", exit_code=1)
        else:
            hand.say(epoch(1, 0.95))
            hand.finish()
    lucky, steady = board(client, metric="accuracy")["rows"]
    assert (lucky["value"], lucky["diverged"], lucky["n"]) == (0.95, 8, 9)
    assert steady["verdict"]["n"] == [9, 9] and steady["verdict"]["verdict"] == "better"
