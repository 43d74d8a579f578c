"""Settles: two recipes repeated in turn, by a worker's hand, until the verdict is decided."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import Hand, bearer, until
from tests.app.support.settling import CPU, SLOW, carried, launched, looked, pair, settle, shown

# Final accuracies by seed: like those of a recipe that varies a little.
NOISE = (0.0, 0.004, -0.003, 0.002, -0.005, 0.001, 0.003)


def of(first: str, one: float, other: float) -> Any:
    """The final accuracy of a run: of the first recipe about `one`, of the second about `other`."""
    return lambda run: (one if run["recipe_hash"] == first else other) + NOISE[run["seed"] % len(NOISE)]


def carried_to_the_end(http: TestClient, state: State, number: int, accuracy: Any) -> list[tuple[str, int]]:
    """Work until the settle has ended; answers (recipe, seed) of its runs in the order in which they ran."""
    done = []
    while looked(http, number)["status"] == "running":
        if run := carried(http, state, accuracy):
            done.append((run["recipe_hash"], run["seed"]))
    return done


def test_it_repeats_both_in_turn_with_equal_new_seeds_and_stops_when_decided(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.9), (0.5,))

    made = settle(client, (one, other))
    assert (made["status"], made["verdict"], made["n"], made["max_seeds"]) == ("running", "undecided", [2, 1], 20)
    assert len(made["runs"]) == len(made["in_progress"]) == 2
    assert made["waits_for"] is None
    done = carried_to_the_end(client, state, made["settle"], of(one, 0.9, 0.5))

    ended = shown(client, made["settle"])
    assert done == [(one, 2), (other, 2), (one, 3), (other, 3)]
    assert (ended["status"], ended["verdict"], ended["in_progress"]) == ("decided", "worse", [])
    assert ended["sentence"].startswith("Second is worse than First")
    assert ended["ended_at"] is not None and ended["seconds_left"] is None
    left = [client.get(f"/api/v1/runs/{run}").json()["status"] for run in ended["runs"]]
    assert left == ["succeeded"] * 4 + ["cancelled"] * (len(left) - 4), "what was still queued is cancelled"
    assert client.get("/api/v1/settles").json() == [ended]


def test_it_stops_undecided_at_the_maximum_and_never_goes_beyond_it(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.9, 0.9), (0.9,))

    made = settle(client, (one, other), max_seeds=4)
    done = carried_to_the_end(client, state, made["settle"], of(one, 0.9, 0.9))

    ended = shown(client, made["settle"])
    assert done == [(one, 3), (other, 3), (other, 4), (other, 5)]
    assert (ended["status"], ended["verdict"], ended["n"], ended["looks_left"]) == ("undecided", "undecided", [4, 4], 0)
    assert "the maximum" in ended["sentence"]
    assert len(ended["runs"]) == 4


def test_equal_recipes_with_a_margin_end_as_equivalent(client: TestClient, state: State):
    one, other = pair(client, state)

    made = settle(client, (one, other), margin=0.1)
    carried_to_the_end(client, state, made["settle"], of(one, 0.9, 0.9))
    assert (shown(client, 1)["status"], shown(client, 1)["verdict"]) == ("decided", "equivalent")


def test_what_is_decided_already_queues_nothing(client: TestClient, state: State):
    made = settle(client, pair(client, state, (0.9, 0.91, 0.905), (0.5, 0.51, 0.505)))

    assert (made["status"], made["verdict"], made["runs"]) == ("decided", "worse", [])


@pytest.mark.parametrize("hardware", [None, CPU])
def test_recipes_without_a_run_are_repeated_from_nothing(client: TestClient, state: State, hardware: str | None):
    one, other = launched(client, name="First"), launched(client, SLOW, name="Second")
    for run in client.get("/api/v1/runs").json()["runs"]:
        client.post(f"/api/v1/runs/{run['id']}/cancel")
    assert client.post("/api/v1/settles", json=asked(one, other)).status_code == 409, "no worker"
    Hand(client, state).claim()

    made = settle(client, (one, other), **({"hardware": hardware} if hardware else {}))
    assert (made["hardware"], made["n"]) == (hardware, [0, 0])
    done = carried_to_the_end(client, state, made["settle"], of(one, 0.9, 0.5))
    assert done == [(one, 1), (other, 1), (one, 2), (other, 2), (one, 3), (other, 3)]
    assert (shown(client, 1)["hardware"], shown(client, 1)["status"]) == (CPU, "decided")


def test_it_is_cancelled_and_a_running_run_may_finish(client: TestClient, state: State):
    hashes = pair(client, state)
    made = settle(client, hashes)
    hand = Hand(client, state)
    assert hand.claim()

    answer = client.post(f"/api/v1/settles/{made['settle']}/cancel")
    assert (answer.status_code, answer.json()["status"], answer.json()["in_progress"]) == (
        200, "cancelled", [hand.run],
    )  # fmt: skip
    hand.finish()
    again = client.post(f"/api/v1/settles/{made['settle']}/cancel")
    assert (again.status_code, again.json()["detail"]) == (
        409, "settle 1 has ended (cancelled): there is nothing to cancel",
    )  # fmt: skip
    assert not Hand(client, state).claim(), "nothing is queued any more"


def test_three_failures_in_a_row_of_one_recipe_end_it_with_their_reason(client: TestClient, state: State):
    one, other = pair(client, state)
    made = settle(client, (one, other))
    while looked(client, made["settle"])["status"] == "running":
        waiting = client.get("/api/v1/runs", params={"status": "queued", "sort": "id"}).json()["runs"]
        failure = "out_of_memory" if waiting and waiting[0]["recipe_hash"] == other else ""
        carried(client, state, of(one, 0.9, 0.5), failure=failure)

    ended = shown(client, made["settle"])
    assert (ended["status"], ended["n"][1]) == ("failed", 1)
    assert ended["reason"].startswith("3 runs in a row failed. The last one, run ")
    assert ended["reason"].endswith("It ended as out_of_memory")


def test_a_single_failure_or_cancel_takes_the_next_seed(client: TestClient, state: State):
    one, other = pair(client, state)
    made = settle(client, (one, other))
    client.post(f"/api/v1/runs/{made['runs'][0]}/cancel")
    until(lambda: len(shown(client, 1)["runs"]) == 3)
    carried(client, state, of(one, 0.9, 0.5), failure="error")
    done = carried_to_the_end(client, state, made["settle"], of(one, 0.9, 0.5))

    assert done[0] == (one, 2), "the run of seed 1 was cancelled"
    assert shown(client, 1)["status"] == "decided"


def test_three_cancels_in_a_row_cancel_it(client: TestClient, state: State):
    settle(client, pair(client, state))
    for _ in range(3):
        found = looked(client, 1)
        client.post(f"/api/v1/runs/{found['in_progress'][0]}/cancel")
        until(lambda before=found: shown(client, 1) != before)  # type: ignore[misc]

    ended = until(lambda: shown(client, 1)["ended_at"] and shown(client, 1))
    assert (ended["status"], ended["reason"]) == ("cancelled", "3 of its runs in a row were cancelled")


def test_diverged_runs_count_as_on_the_board(client: TestClient, state: State):
    one, other = pair(client, state)
    made = settle(client, (one, other), metric="time_to_target", target=0.4, max_seeds=3)
    while looked(client, made["settle"])["status"] == "running":
        waiting = client.get("/api/v1/runs", params={"status": "queued", "sort": "id"}).json()["runs"]
        carried(client, state, failure="diverged" if waiting and waiting[0]["recipe_hash"] == other else "")

    ended = shown(client, made["settle"])
    assert (ended["status"], ended["n"], ended["runs"]) == ("undecided", [3, 3], made["runs"] + ended["runs"][2:])
    assert len(ended["runs"]) == 4


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"dataset_fingerprint": "e" * 64}, "was trained on another version of the data than the earlier runs"),
        ({"cpu": "Other 1"}, "ran on cpu: Other 1 and the earlier ones on cpu: Testing 3000"),
    ],
)
def test_runs_that_do_not_count_end_it(client: TestClient, state: State, place: dict[str, Any], reason: str):
    settle(client, pair(client, state))
    while looked(client, 1)["status"] == "running":
        carried(client, state, **place)

    assert shown(client, 1)["status"] == "failed"
    assert reason in shown(client, 1)["reason"]


def test_a_deleted_run_is_made_again_and_deleted_recipes_end_it(client: TestClient, state: State):
    one, other = pair(client, state)
    made = settle(client, (one, other))
    assert carried(client, state)
    looked(client, 1)
    assert client.delete(f"/api/v1/runs/{made['runs'][0]}").status_code == 204
    until(lambda: shown(client, 1)["n"] == [1, 1] and made["runs"][0] not in shown(client, 1)["runs"])
    assert carried(client, state)
    assert looked(client, 1)["status"] == "running"

    for run in client.get("/api/v1/runs", params={"limit": 100}).json()["runs"]:
        if run["recipe_hash"] == other:
            client.delete(f"/api/v1/runs/{run['id']}")
    ended = until(lambda: shown(client, 1)["ended_at"] and shown(client, 1))
    assert (ended["status"], ended["reason"]) == ("failed", "all runs of one of the recipes have been deleted")
    assert "Deleted recipe against First" in client.get("/settles/1").text


def test_more_workers_get_more_runs(client: TestClient, state: State):
    hashes = pair(client, state)
    for name in ("bea", "cleo"):
        Hand(client, state, name).claim()

    assert len(settle(client, hashes)["in_progress"]) == 3


def asked(one: str, other: str, **more: Any) -> dict[str, Any]:
    return {"baseline": one, "candidate": other, "metric": "accuracy"} | more


@pytest.mark.parametrize(
    ("wrong", "status", "says"),
    [
        ({"max_seeds": 1}, 422, "max_seeds: input should be greater than or equal to 2"),
        ({"max_seeds": 101}, 422, "max_seeds: input should be less than or equal to 100"),
        ({"max_seeds": "20"}, 422, "max_seeds"),
        ({"family": "several"}, 422, "family"),
        ({"metric": "beauty"}, 422, "metric"),
        ({"metric": "energy"}, 422, "candidate: not comparable: energy to target was not measured"),
        ({"candidate": "0" * 64}, 404, "there is no group"),
        ({"margin": -1}, 422, "margin"),
        ({"target": 2}, 422, "target"),
        ({"dataset": "cifar10"}, 422, "baseline: was trained on digits, not on cifar10"),
        ({"wish": 1}, 422, "wish: there is no such field"),
    ],
)
def test_a_wrong_wish_is_refused_with_a_sentence(
    client: TestClient, state: State, wrong: dict[str, Any], status: int, says: str
):
    one, other = pair(client, state)

    answer = client.post("/api/v1/settles", json=asked(one, other, **wrong))
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
    assert client.get("/api/v1/settles").json() == []


def test_a_second_settle_of_the_pair_names_the_first(client: TestClient, state: State):
    one, other = pair(client, state)
    settle(client, (one, other))

    answer = client.post("/api/v1/settles", json=asked(other, one))
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("settle 1 already repeats these two recipes for final accuracy")
    assert settle(client, (one, other), metric="best_accuracy")["settle"] == 2


def test_recipes_at_their_maximum_need_a_higher_one(client: TestClient, state: State):
    one, other = pair(client, state, (0.9, 0.91), (0.9, 0.91))

    answer = client.post("/api/v1/settles", json=asked(one, other, max_seeds=2))
    assert (answer.status_code, answer.json()["field"]) == (422, "max_seeds")
    assert "both recipes already have 2 seeds" in answer.json()["detail"]


def test_it_is_refused_where_its_runs_cannot_run_now(client: TestClient, state: State):
    one, other = pair(client, state)
    jax = launched(client, {"backend": "jax"})
    body = {"worker": "zoe", "device": "cpu", "backends": ["jax"], "wait_s": 0}
    headers = bearer(state.tokens.worker)
    answer = client.post("/api/v1/settles", json=asked(one, jax))
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("no connected worker has the backend jax (their backends: tensorflow)")

    client.post("/api/v1/worker/claim", json=body | {"backends": ["tensorflow"], "trouble": "full"}, headers=headers)
    state.leases.mark_gone("ada")
    assert (
        client.post("/api/v1/settles", json=asked(one, other)).json()["detail"] == "no worker is connected: start one"
    )
    Hand(client, state, "gus").claim()
    with state.records.write() as session:
        from app.records.models import Worker

        session.get_one(Worker, "gus").device = "gpu:0"
    answer = client.post("/api/v1/settles", json=asked(one, other))
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        f"no connected worker has the hardware of the earlier runs, {CPU}: start ada again, which ran them"
    )


def test_an_unknown_settle_is_404(client: TestClient):
    for number in (1, 0, -1, 2**63, "x"):
        assert client.get(f"/api/v1/settles/{number}").status_code == 404
        assert client.post(f"/api/v1/settles/{number}/cancel").status_code == 404
        assert client.get(f"/settles/{number}").status_code == 404
