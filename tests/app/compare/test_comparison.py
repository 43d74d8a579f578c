"""Comparison of runs and groups: results, settings that differ, curves, images that only one run got right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.board.test_ranking import PLACE, ran
from tests.app.support.cast import SPACE, Hand, epoch, started
from trainer.data import digits
from trainer.data.predictions import pack

DIGITS = {"dataset": {"name": "digits"}, "epochs": 1, "batch_size": 50}


def compared(http: TestClient, **query: Any) -> dict[str, Any]:
    answer = http.get("/api/v1/compare", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def predicted(
    http: TestClient,
    state: State,
    wrong: list[int],
    accuracy: float | None = None,
    with_tta: float | None = None,
    **recipe: Any,
) -> int:
    """A run that predicted the next digit for the validation images numbered in `wrong`. `accuracy`: what it reported
    (default: what follows from `wrong`); `with_tta`: the same with test-time augmentation."""
    http.post("/api/v1/runs", json={"recipe": DIGITS | recipe}).raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    labels = digits.read()[3].copy()
    labels[wrong] = (labels[wrong] + 1) % 10
    accuracy = accuracy or 1 - len(wrong) / len(labels)
    hand.say(started(environment=PLACE), epoch(1, accuracy, tta_accuracy=with_tta, predictions=pack(labels)))
    hand.finish()
    return hand.run


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


def test_images_that_only_one_run_got_right_are_shown_with_both_predictions(client: TestClient, state: State):
    one, other = predicted(client, state, [3, 5], seed=0), predicted(client, state, [5, 9, 11], seed=1)
    labels = digits.read()[3]

    found = client.get("/api/v1/compare/pictures", params={"left": one, "right": other}).json()
    assert (found["both"], found["neither"], found["only_left"], found["only_right"]) == (296, 1, 2, 1)
    assert [image["number"] for image in found["pictures_left"]] == [9, 11]
    (right,) = found["pictures_right"]
    assert (right["number"], right["label"]) == (3, str(labels[3]))
    assert right["taken"] == [str((labels[3] + 1) % 10), str(labels[3])]
    assert right["png"].startswith("data:image/png;base64,")

    page = client.get(f"/compare?runs={one},{other}&left={one}&right={other}").text
    assert f"Only #{one} got these right" in page and page.count('class="pixels"') == 3


def test_predictions_of_a_run_with_tta_match_either_of_its_accuracies(client: TestClient, state: State):
    without_tta = predicted(client, state, [3, 5], with_tta=0.5, tta="flip")
    tta = predicted(client, state, [3, 5], accuracy=0.5, with_tta=1 - 2 / 300, tta="flip")

    found = client.get("/api/v1/compare/pictures", params={"left": without_tta, "right": tta}).json()
    assert (found["both"], found["neither"]) == (298, 2)


def test_images_cannot_be_compared_without_predictions_on_the_same_images(client: TestClient, state: State):
    one = predicted(client, state, [3])
    limited = predicted(client, state, [3], dataset={"name": "digits", "val_limit": 100})
    without = ran(client, state, (0.5,))
    elsewhere = predicted(client, state, [3], accuracy=0.5, seed=7)  # its labels were different

    for right, sentence in (
        (limited, "other images"),
        (without, "has no predictions"),
        (elsewhere, "are not those that run"),
    ):
        answer = client.get("/api/v1/compare/pictures", params={"left": one, "right": right})
        assert (answer.status_code, answer.json()["field"]) == (422, "right")
        assert sentence in answer.json()["detail"]
        assert sentence in client.get(f"/compare?runs={one},{limited}&left={one}&right={right}").text
