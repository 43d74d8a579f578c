"""Comparison of runs and groups: results, settings that differ, curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.board.test_ranking import ran
from tests.app.support.cast import SPACE


def compared(http: TestClient, **query: Any) -> dict[str, Any]:
    answer = http.get("/api/v1/compare", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_only_settings_that_differ_are_shown(client: TestClient, state: State):
    one = ran(client, state, (0.5, 0.95), lr=0.1)
    other = ran(client, state, (0.6, 0.96), lr=0.2, seed=3)

    found = compared(client, runs=f"{one},{other}")
    assert found["differing"] == ["schedule.lr", "seed"]
    assert [side["knobs"] for side in found["sides"]] == [
        {"schedule.lr": 0.1, "seed": 0},
        {"schedule.lr": 0.2, "seed": 3},
    ]
    assert [side["accuracy"] for side in found["sides"]] == [0.95, 0.96]
    assert [trace["y"] for trace in found["curves"]["traces"]] == [[0.5, 0.95], [0.6, 0.96]]
    meta = found["curves"]["traces"][0]["meta"]
    assert meta.pop("token").startswith("--series-")
    assert meta == {"role": "0", "elapsed": [2.0, 4.0], "steps": 3}

    losses = compared(client, runs=[one, other], field="val_loss")["curves"]
    assert not losses["percent"] and losses["target"] is None


def test_a_group_is_compared_with_a_run_by_its_mean_and_band(client: TestClient, state: State):
    runs = [ran(client, state, (0.5, last), seed=seed) for seed, last in enumerate((0.90, 0.94))]
    alone = ran(client, state, (0.7, 0.8), lr=0.3)
    name = client.get(f"/api/v1/runs/{runs[0]}").json()["recipe_hash"]

    found = compared(client, runs=alone, groups=name[:10])
    run, group = found["sides"]
    assert (run["group"], group["group"], group["n"], group["accuracy"]) == (None, name, 2, pytest.approx(0.92))
    assert group["sd"] == pytest.approx(np.std([0.90, 0.94], ddof=1))
    assert "seed" not in group["knobs"] and run["knobs"]["seed"] == 0
    band, mean = found["curves"]["traces"][1:]
    assert band["meta"]["is_band"] and mean["y"] == pytest.approx([0.5, 0.92])
    assert max(band["y"]) <= 1.0

    page = client.get("/compare", params={"runs": alone, "groups": name[:10]}).text
    assert f"92.00{SPACE}%" in page and "schedule.lr" in page
    assert client.get("/compare", params={"groups": name[:10]}).status_code == 200, "a single side is allowed"


def test_the_page_works_without_javascript(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.95), lr=0.1), ran(client, state, (0.6, 0.96), lr=0.2)

    page = client.get(f"/compare?runs={one},{other}").text
    assert '<th scope="col" class="knob">schedule.lr</th>' in page
    assert f'href="/compare?runs={other}" aria-label="Remove' in page
    assert "Nothing to compare yet" in client.get("/compare").text
    from_the_list = client.get(f"/compare?runs={one}&back=sort%3Dname&tag=&runs={other}", follow_redirects=False)
    assert from_the_list.headers["location"] == f"/compare?runs={one},{other}"


def test_a_setting_that_only_one_recipe_has_is_listed_but_is_no_axis(client: TestClient, state: State):
    one = ran(client, state, (0.5, 0.95))
    recipe = {"dataset": {"name": "digits"}, "epochs": 2, "schedule": {"kind": "constant", "lr": 0.1}, "mixup": {}}
    other = client.post("/api/v1/runs", json={"recipe": recipe}).json()["runs"][0]["id"]
    page = client.get(f"/compare?runs={one},{other}")
    assert page.status_code == 200 and "mixup.alpha" in page.text


def test_the_page_says_when_no_setting_differs(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.95)), ran(client, state, (0.6, 0.96))
    assert "do not differ in any setting" in client.get(f"/compare?runs={one},{other}&fold=0").text


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"runs": "1,x"}, 422, "runs"),
        ({"runs": "-1"}, 422, "runs"),
        ({"runs": ",".join(map(str, range(1, 102)))}, 422, "runs"),
        ({"field": "luck"}, 422, "field"),
        ({"runs": "999"}, 404, None),
        ({"groups": "0123456789ab"}, 404, None),
    ],
)
def test_an_invalid_comparison_names_its_field(
    client: TestClient, query: dict[str, Any], status: int, field: str | None
):
    answer = client.get("/api/v1/compare", params=query)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert client.get("/compare", params=query).status_code == status
