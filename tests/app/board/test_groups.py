"""Groups as JSON and on their page: included runs, statistics, more seeds of the same recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import paged
from tests.app.support.cast import SPACE, Hand, epoch, started

RECIPE: dict[str, Any] = {"dataset": {"name": "digits"}, "epochs": 2, "target_accuracy": 0.9}
PLACE = {"dataset_fingerprint": "f" * 64, "device": "GPU one", "pitwall": "1"}


def queued(http: TestClient, seed: int = 0, **recipe: Any) -> dict[str, Any]:
    answer = http.post("/api/v1/runs", json={"recipe": RECIPE | {"seed": seed} | recipe})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["runs"][0])


def ran(
    http: TestClient, state: State, *accuracies: float, seed: int = 0, outcome: str = "succeeded", **environment: Any
) -> dict[str, Any]:
    """A run from its launch to its end, epochs of 2 s. `environment` also takes the `energy_wh` of each epoch."""
    run = queued(http, seed)
    hand, energy = Hand(http, state), environment.pop("energy_wh", None)
    assert hand.claim()
    hand.say(started(environment=PLACE | environment))
    hand.say(*(epoch(number, share, energy_wh=energy) for number, share in enumerate(accuracies, 1)))
    if outcome == "diverged":
        hand.say({"event": "failed", "kind": "diverged", "message": "The loss is no number."})
    hand.finish("failed" if outcome == "diverged" else outcome, exit_code=0 if outcome == "succeeded" else 1)
    return run


def group(http: TestClient, run: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = http.get(f"/api/v1/groups/{run['recipe_hash']}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_single_run_is_a_group_without_spread(client: TestClient, state: State):
    run = ran(client, state, 0.5, 0.93)

    found = group(client, run)
    assert (found["recipe_hash"], found["hardware"], found["target"]) == (run["recipe_hash"], "GPU one", 0.9)
    assert (found["runs"], found["replays"], found["excluded"], found["under_way"]) == ([run["id"]], [], 0, 0)
    final = found["final_accuracy"]
    assert (final["n"], final["mean"], final["sd"], final["interval"]) == (1, 0.93, None, None)
    assert (found["reached"]["count"], found["reached"]["n"], found["reached"]["next"]) == (1, 1, 0.75)
    assert (found["median_time_to_target"], found["times_to_target"]["mean"]) == (4.0, 4.0)
    assert (found["energy"], found["cost"]) == (None, None)

    page = client.get(f"/groups/{run['recipe_hash']}").text
    assert "n = 1: no spread" in page and "1 of 1" in page and "1 run included, on GPU one" in page


def test_statistics_are_over_all_seeds_and_a_diverged_run_is_a_miss(client: TestClient, state: State):
    accuracies = [(0.91, 0.94), (0.5, 0.92), (0.6, 0.7)]
    runs = [ran(client, state, *one, seed=seed, energy_wh=0.25 * seed) for seed, one in enumerate(accuracies)]
    diverged = ran(client, state, 0.95, seed=3, outcome="diverged")
    client.patch("/api/v1/workers/ada", json={"price_per_hour": 9.0}).raise_for_status()

    found = group(client, runs[0])
    assert found["runs"] == [run["id"] for run in [*runs, diverged]]
    final, best = found["final_accuracy"], found["best_accuracy"]
    assert (final["n"], final["min"], final["max"], final["median"]) == (3, 0.7, 0.94, 0.92)
    assert final["mean"] == pytest.approx(np.mean([0.94, 0.92, 0.7]))
    assert final["sd"] == pytest.approx(np.std([0.94, 0.92, 0.7], ddof=1))
    assert (best["n"], best["max"]) == (3, 0.94), "of the runs that finished"
    assert (found["reached"]["count"], found["reached"]["n"]) == (2, 4), "the diverged run reached it before: a miss"
    assert found["times_to_target"]["n"] == 2
    assert found["median_time_to_target"] is None  # 2, 4 and two misses
    assert (found["energy"]["n"], found["energy"]["max"]) == (3, 1.0)
    assert found["cost"]["mean"] == pytest.approx(9.0 * np.mean([4, 4, 4, 2]) / 3600)

    assert group(client, runs[0], target=0.93)["reached"]["count"] == 1
    assert group(client, runs[0], target=0.96)["median_time_to_target"] is None
    assert "2 of 4" in client.get(f"/groups/{runs[0]['recipe_hash']}").text


def test_duplicate_seeds_cancelled_runs_and_runs_in_progress_are_not_included(client: TestClient, state: State):
    first, duplicate = ran(client, state, 0.5, 0.93), ran(client, state, 0.5, 0.99)
    ran(client, state, 0.3, seed=1, outcome="cancelled")
    other_data = ran(client, state, 0.1, 0.2, seed=2, dataset_fingerprint="e" * 64)
    ran(client, state, 0.5, 0.95, seed=3)
    queued(client, seed=4)

    found = group(client, first)
    assert (found["runs"][0], len(found["runs"]), found["replays"]) == (first["id"], 2, [duplicate["id"]])
    assert other_data["id"] not in found["runs"] + found["replays"]
    assert (found["excluded"], found["under_way"], found["final_accuracy"]["n"]) == (1, 1, 2)

    page = client.get(f"/groups/{first['recipe_hash']}").text
    assert "2 runs included" in page and "1 in progress" in page
    assert "1 duplicate seed;" in page
    assert "1 excluded (cancelled, or failed without diverging)" in page


def test_a_group_can_be_shown_for_each_kind_of_hardware(client: TestClient, state: State):
    one = [ran(client, state, 0.5, 0.93, seed=seed) for seed in range(2)]
    other = ran(client, state, 0.5, 0.94, device="GPU two")

    default = group(client, other)
    assert (default["hardware"], default["all_hardware"]) == ("GPU one", {"GPU one": 2, "GPU two": 1})
    assert default["runs"] == [run["id"] for run in one]
    assert group(client, other, hardware="GPU two")["runs"] == [other["id"]]

    address = f"groups/{other['recipe_hash']}"
    answer = client.get(f"/api/v1/{address}", params={"hardware": "GPU three"})
    assert (answer.status_code, answer.json()["field"]) == (422, "hardware")
    assert "GPU one, GPU two" in answer.json()["detail"]
    assert client.get(f"/{address}", params={"hardware": "GPU three"}).status_code == 422
    assert 'href="?hardware=GPU%20two"' in client.get(f"/{address}").text


def test_a_group_is_found_by_its_hash_or_at_least_eight_first_letters(client: TestClient):
    run = queued(client)
    whole = run["recipe_hash"]

    for name in (whole, whole[:8], whole[:20].upper()):
        assert client.get(f"/api/v1/groups/{name}").json()["recipe_hash"] == whole
        assert client.get(f"/groups/{name}").status_code == 200
    other = ("0" if whole[0] != "0" else "1") + whole[1:]
    for name in (whole[:7], other, whole + "0", "g" * 8, "no-such-group", whole[:8] + "%"):
        for address in (f"/api/v1/groups/{name}", f"/groups/{name}", f"/groups/{name}/numbers"):
            assert client.get(address).status_code == 404, address
        assert client.post(f"/groups/{name}/repeat", data={"more": "1"}).status_code == 404


def test_a_group_of_queued_runs_has_no_statistics(client: TestClient):
    run = queued(client)

    found = group(client, run)
    assert (found["hardware"], found["runs"], found["under_way"], found["reached"]) == (None, [], 1, None)
    assert (found["final_accuracy"], found["median_time_to_target"]) == (None, None)
    page = client.get(f"/groups/{run['recipe_hash']}").text
    assert "Curves appear when the first epoch ends." in page and '<table class="epochs">' not in page


def test_the_page_shows_the_band_as_a_table_last_epoch_first(client: TestClient, state: State):
    run = ran(client, state, 0.5, 0.9, 0.95)
    ran(client, state, 0.25, 0.5, seed=1)

    for address in (f"/groups/{run['recipe_hash']}", f"/groups/{run['recipe_hash']}/numbers"):
        table = client.get(address).text.partition('<table class="epochs">')[2].partition("</table>")[0]
        rows = [line for line in table.split("<tr>") if 'scope="row"' in line]
        cells = [row.replace("</td>", "").replace("</th>", "").replace("</tr>", "").split("<t") for row in rows]
        shown = [[cell.partition(">")[2].strip() for cell in row[1:]] for row in cells]
        assert [row[:2] for row in shown] == [["3", "1"], ["2", "2"], ["1", "2"]]
        assert (shown[0][3], shown[1][2], shown[1][4:6]) == (
            "n = 1", f"70.00{SPACE}%", [f"50.00{SPACE}%", f"90.00{SPACE}%"],
        )  # fmt: skip
        assert shown[1][3] == f"{100 * float(np.std([0.9, 0.5], ddof=1)):.2f}{SPACE}%"


def test_repeat_queues_seeds_above_the_largest(client: TestClient, state: State):
    first = ran(client, state, 0.5, 0.93, seed=7)
    ran(client, state, 0.5, 0.94, seed=3)
    client.patch(f"/api/v1/runs/{first['id']}", json={"tags": ["night"], "priority": 5}).raise_for_status()
    newest = queued(client, seed=5)
    client.patch(f"/api/v1/runs/{newest['id']}", json={"name": "mine", "tags": ["day"], "priority": 3})

    answer = client.post(f"/groups/{first['recipe_hash']}/repeat", data={"more": "3"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/groups/{first['recipe_hash']}")
    made = list(paged(client))[:3]
    assert [run["seed"] for run in made] == [10, 9, 8]
    for run in made:
        assert (run["recipe_hash"], run["status"]) == (first["recipe_hash"], "queued")
        assert (run["name"], run["tags"], run["priority"]) == ("mine", ["day"], 3), "as in the newest run"
    assert group(client, first)["under_way"] == 4


@pytest.mark.parametrize("more", ["0", "101", "-1", "many", ""])
def test_repeat_refuses_an_invalid_number_of_seeds(client: TestClient, more: str):
    run = queued(client)

    assert client.post(f"/groups/{run['recipe_hash']}/repeat", data={"more": more}).status_code == 422
    assert len(list(paged(client))) == 1
