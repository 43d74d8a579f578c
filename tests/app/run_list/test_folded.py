"""The folded list: one line for each recipe, with the spread over its seeds, in any order, page by page."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.board.test_ranking import SMALL, ran
from tests.app.support.cast import SPACE

SORTS = ("-id", "id", "name", "-best_val_accuracy", "last_val_accuracy", "-elapsed_seconds", "time_to_target", "seed",
         "-created_at", "status", "recipe.schedule.lr", "-counted_accuracy@2", "-preset", "best_epoch")  # fmt: skip


def folded(client: TestClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/runs", params={"fold": "true"} | query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def seeds(client: TestClient, state: State, lr: float, finals: tuple[float, ...], **place: Any) -> list[int]:
    return [ran(client, state, (0.5, final), seed=seed, lr=lr, **place) for seed, final in enumerate(finals)]


def waiting(client: TestClient, lr: float, seed: int = 9) -> int:
    recipe = SMALL | {"epochs": 2, "seed": seed, "schedule": {"kind": "constant", "lr": lr}}
    return int(client.post("/api/v1/runs", json={"recipe": recipe}).json()["runs"][0]["id"])


def test_a_line_is_a_recipe_with_n_mean_deviation_and_statuses(client: TestClient, state: State):
    one = seeds(client, state, 0.1, (0.90, 0.94, 0.92))
    other = seeds(client, state, 0.2, (0.80,))
    queued = waiting(client, 0.1)

    found = folded(client)
    assert found["runs"] == [] and found["next_cursor"] is None
    assert (found["total_recipes"], found["total_runs"]) == (2, 5)
    first, second = found["folds"]
    assert (first["runs"], first["statuses"], first["n"]) == ([queued, *one[::-1]], {"queued": 1, "succeeded": 3}, 3)
    assert first["last_val_accuracy"] == pytest.approx(
        {"n": 3, "mean": 0.92, "sd": np.std([0.90, 0.94, 0.92], ddof=1), "smallest": 0.90, "largest": 0.94}
    )
    assert (second["runs"], second["n"], second["last_val_accuracy"]["sd"]) == (other, 1, None)

    page = client.get("/runs?fold=1").text
    assert "2 recipes, 5 runs" in page
    assert "3 finished" in page and "1 queued" in page
    assert f"92.00{SPACE}%" in page and f"± 2.00{SPACE}%; best 94.00{SPACE}%" in page
    assert f'href="/groups/{first["recipe_hash"][:12]}?hardware=' in page and f'href="/runs/{other[0]}"' in page


def test_the_list_is_not_folded_unless_asked(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.90, 0.94))
    found = client.get("/api/v1/runs").json()
    assert [run["id"] for run in found["runs"]] == runs[::-1]
    assert (found["folds"], found["total_recipes"]) == (None, None)
    assert 'href="/runs?fold=1"' in client.get("/runs").text


def test_other_hardware_is_another_line(client: TestClient, state: State):
    seeds(client, state, 0.1, (0.90, 0.94))
    seeds(client, state, 0.1, (0.70,), device="Another GPU")
    found = folded(client, sort="-last_val_accuracy")
    assert [(fold["hardware"], fold["n"]) for fold in found["folds"]] == [("Some GPU", 2), ("Another GPU", 1)]
    assert found["total_recipes"] == 1
    assert "1 recipe, 3 runs" in (page := client.get("/runs?fold=1").text) and "in 2 lines" in page


def test_a_seed_that_ran_twice_counts_once_in_numbers_and_order(client: TestClient, state: State):
    seeds(client, state, 0.1, (0.90, 0.80))
    ran(client, state, (0.5, 0.99), seed=1, lr=0.1)
    ran(client, state, (0.5, 0.99), seed=1, lr=0.1)
    seeds(client, state, 0.2, (0.86, 0.86))
    better, worse = folded(client, sort="-last_val_accuracy")["folds"]
    assert (better["n"], better["last_val_accuracy"]["mean"]) == (2, pytest.approx(0.86))
    assert (worse["n"], worse["last_val_accuracy"]["mean"]) == (2, pytest.approx(0.85))


def test_filters_choose_runs(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.90, 0.94))
    seeds(client, state, 0.2, (0.80,))
    client.patch(f"/api/v1/runs/{runs[1]}", json={"tags": ["kept"]}).raise_for_status()
    [fold] = folded(client, tag="kept")["folds"]
    assert (fold["runs"], fold["n"]) == ([runs[1]], 1)
    assert folded(client, where="recipe.schedule.lr=0.2")["total_runs"] == 1
    assert folded(client, status="failed") == {
        "runs": [], "folds": [], "next_cursor": None, "total_recipes": 0, "total_runs": 0,
    }  # fmt: skip
    assert "No matching runs" in client.get("/runs?fold=1&status=failed").text


@pytest.mark.parametrize("sort", SORTS)
def test_pages_hold_every_line_once_and_in_order(client: TestClient, state: State, sort: str):
    seeds(client, state, 0.1, (0.90, 0.94))
    seeds(client, state, 0.2, (0.80, 0.98, 0.85))
    seeds(client, state, 0.3, (0.95,), seconds=9.0)
    waiting(client, 0.4)
    waiting(client, 0.2)
    everything = folded(client, sort=sort)["folds"]
    assert len(everything) == 4

    pages, cursor = [], ""
    while cursor is not None:
        found = folded(client, sort=sort, limit=1, **({"cursor": cursor} if cursor else {}))
        pages += found["folds"]
        cursor = found["next_cursor"]
    assert pages == everything


def test_lines_are_sorted_by_the_mean_and_those_without_come_last(client: TestClient, state: State):
    seeds(client, state, 0.1, (0.90, 0.94))
    seeds(client, state, 0.2, (0.80, 0.99))
    waiting(client, 0.4)
    for sort, order in (("-last_val_accuracy", (0.1, 0.2, 0.4)), ("last_val_accuracy", (0.2, 0.1, 0.4))):
        folds = folded(client, sort=sort)["folds"]
        rates = [client.get(f"/api/v1/runs/{fold['runs'][0]}").json()["recipe"]["schedule"]["lr"] for fold in folds]
        assert tuple(rates) == order


def test_a_cursor_of_runs_is_none_of_recipes(client: TestClient, state: State):
    seeds(client, state, 0.1, (0.90, 0.94))
    seeds(client, state, 0.2, (0.90,))
    cursor = client.get("/api/v1/runs?limit=1").json()["next_cursor"]
    answer = client.get("/api/v1/runs", params={"fold": "true", "cursor": cursor, "limit": 1})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_a_folded_export_has_means_and_deviations(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.90, 0.94))
    query = "fold=1&column=last_val_accuracy&column=recipe.schedule.lr&column=seed"
    [row] = csv.DictReader(io.StringIO(client.get(f"/api/v1/runs.csv?{query}").text))
    assert float(row["last_val_accuracy"]) == pytest.approx(0.92)
    assert float(row["last_val_accuracy.sd"]) == pytest.approx(np.std([0.90, 0.94], ddof=1))
    assert (row["n"], row["recipe.schedule.lr"], row["runs"]) == ("2", "0.1", str(runs[::-1]))
    [found] = client.get(f"/api/v1/runs.json?{query}").json()
    assert (found["statuses"], found["seed"]) == ({"succeeded": 2}, 0.5)


def test_the_table_is_drawn_again_by_its_own_address(client: TestClient, state: State):
    seeds(client, state, 0.1, (0.90, 0.94))
    page = client.get("/runs?fold=1&sort=-best_val_accuracy&column=seed&column=dataset&column=left").text
    [address] = re.findall(r'data-fragment="(/fragments/folds[^"]*)"', page)
    table = client.get(address.replace("&amp;", "&")).text
    assert table.strip() in page
    assert "0 to 1" in table and "digits" in table and "ETA" not in table


def test_a_checkbox_compares_all_runs_of_its_line(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, (0.90, 0.94)), seeds(client, state, 0.2, (0.80,))
    page = client.get("/runs?fold=1").text
    for runs in (one, other):
        assert f'name="runs" value="{",".join(map(str, runs[::-1]))}"' in page
    compared = client.get("/compare", params={"runs": [f"{one[1]},{one[0]}", str(other[0])]}).text
    assert "2 recipes, 3 runs" in compared
