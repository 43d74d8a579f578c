"""Bulk actions and exports over HTTP, and the page of the list."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import Hand, launch, trained


def test_a_bulk_action_reports_the_runs_it_skipped(client: TestClient, state: State):
    ended, first, second = trained(client, state), launch(state), launch(state)

    answer = client.post("/api/v1/runs/bulk", json={"do": "pause", "runs": [first, second, ended, 999]})
    assert (answer.status_code, answer.json()["done"]) == (200, [first, second])
    assert set(answer.json()["refused"]) == {str(ended), "999"}
    assert "there is no run 999" in answer.json()["refused"]["999"]
    made = client.post("/api/v1/runs/bulk", json={"do": "clone", "runs": [ended]}).json()["made"]
    assert client.get(f"/api/v1/runs/{made[0]}").json()["parent_id"] == ended


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"do": "explode", "runs": [1]}, "do"),
        ({"do": "cancel", "runs": []}, "runs"),
        ({"do": "cancel", "runs": [0]}, "runs.0"),
        ({"do": "cancel", "runs": list(range(1, 1002))}, "runs"),
        ({"do": "tag", "runs": [1]}, "tag"),
        ({"do": "tag", "runs": [1], "tag": "x" * 41}, "tag"),
        ({"do": "tag", "runs": [1], "tag": "a\nb"}, "tag"),
    ],
)
def test_an_invalid_bulk_request_names_the_field(client: TestClient, body: dict[str, Any], field: str):
    answer = client.post("/api/v1/runs/bulk", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_bulk_form_redirects_to_the_list_or_shows_what_was_skipped(client: TestClient, state: State):
    ended, waiting = trained(client, state), launch(state)

    answer = client.post(
        "/runs/bulk", data={"do": "tag", "runs": [ended, waiting], "tag": " mine ", "back": "sort=name"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?sort=name")
    assert client.get(f"/api/v1/runs/{ended}").json()["tags"] == ["mine"]
    left = client.post("/runs/bulk", data={"do": "pause", "runs": [ended, waiting]})
    assert left.status_code == 200 and "1 of 2 runs paused" in left.text and f'href="/runs/{ended}"' in left.text
    assert client.post("/runs/bulk", data={"do": "cancel"}).status_code == 422
    hostile = client.post("/runs/bulk", data={"do": "tag", "runs": [ended], "tag": "a\x00b"})
    assert hostile.status_code == 422


def test_an_export_has_every_matching_run_with_the_chosen_columns(client: TestClient, state: State):
    for number in range(3):
        trained(client, state, (0.5, 0.6 + number / 10), name=f"=run {number}", tags=["a", "b"])
    asked: dict[str, Any] = {"sort": "-best_val_accuracy", "where": "val_accuracy@2>=0.7", "limit": 1,
             "column": ["best_val_accuracy", "val_accuracy@1", "recipe.batch_size", "created_at", "left"]}  # fmt: skip

    answer = client.get("/api/v1/runs.csv", params=asked)
    assert answer.headers["content-type"].startswith("text/csv") and "runs.csv" in answer.headers["content-disposition"]
    head, *rows = list(csv.reader(io.StringIO(answer.text)))
    assert head == [
        "id",
        "name",
        "status",
        "tags",
        "best_val_accuracy",
        "best_plain_accuracy",
        "best_epoch",
        "val_accuracy@1",
        "recipe.batch_size",
        "created_at",
        "recipe.tta",
    ]
    assert [row[1] for row in rows] == ["'=run 2", "'=run 1"]
    assert [*rows[0][3:9], rows[0][10]] == ['["a", "b"]', "0.8", "", "2", "0.5", "50", "none"]
    as_json = client.get("/api/v1/runs.json", params=asked).json()
    assert [one["name"] for one in as_json] == ["=run 2", "=run 1"]
    assert (as_json[0]["tags"], as_json[0]["recipe.batch_size"]) == (["a", "b"], 50)
    assert client.get("/api/v1/runs.json?q=nothing").json() == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"sort": "luck"}, "sort"),
        ({"column": "luck"}, "column"),
        ({"column": "recipe.luck"}, "column"),
        ({"where": "luck=1"}, "where"),
        ({"cursor": "luck"}, "cursor"),
        ({"limit": 501}, "limit"),
    ],
)
def test_an_invalid_query_is_refused_by_page_list_and_export(client: TestClient, asked: dict[str, Any], field: str):
    addresses = ["/api/v1/runs.csv", "/api/v1/runs.json"] if field != "cursor" else []
    for address in [*addresses, *(["/api/v1/runs"] if field != "column" else [])]:
        answer = client.get(address, params=asked)
        assert (answer.status_code, answer.json()["field"]) == (422, field), address
    assert client.get("/runs", params=asked).status_code == 422


def test_redrawn_rows_look_as_in_the_table(client: TestClient, state: State):
    runs = [launch(state, name=f"run {number}") for number in range(3)]
    hand = Hand(client, state)
    assert hand.claim()

    page = client.get("/runs?column=seed&column=recipe.model.width").text
    rows = client.get(f"/fragments/rows?ids={runs[0]},999,{runs[2]}&column=seed&column=recipe.model.width&boxes=1").text
    assert rows.count("<tr") == 2
    for row in rows.split("</tr>")[:-1]:
        assert row.strip() in page
    assert client.get("/fragments/rows?ids=x").status_code == 422


def test_links_of_the_list_keep_its_query(client: TestClient, state: State):
    for number in range(3):
        launch(state, name=f"run {number}", tags=["t"])
    page = client.get("/runs?tag=t&limit=1&sort=name&column=seed&where=seed%3E%3D0&q=run").text

    assert "sort=-name" in page and 'aria-sort="ascending"' not in page.split('<th scope="col">')[0]
    older = page.split("Next page")[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    for part in ("tag=t", "limit=1", "sort=name", "column=seed", "where=seed%3E%3D0", "q=run", "cursor="):
        assert part in older
    assert "run 1" in client.get(older).text
