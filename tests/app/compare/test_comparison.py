"""Runs and groups beside each other: results, what differs, curves, knobs, and pictures that only one got right."""

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


def compared(http: TestClient, **asked: Any) -> dict[str, Any]:
    answer = http.get("/api/v1/compare", params=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def guessed(
    http: TestClient,
    state: State,
    wrong: list[int],
    said: float | None = None,
    with_tta: float | None = None,
    **recipe: Any,
) -> int:
    """A run whose net took the validation pictures of these numbers for the next digit; `said`: its accuracy;
    `with_tta`: the same with test-time augmentation."""
    http.post("/api/v1/runs", json={"recipe": DIGITS | recipe}).raise_for_status()
    hand = Hand(http, state)
    assert hand.claim()
    labels = digits.read()[3].copy()
    labels[wrong] = (labels[wrong] + 1) % 10
    accuracy = said or 1 - len(wrong) / len(labels)
    hand.say(started(environment=PLACE), epoch(1, accuracy, tta_accuracy=with_tta, predictions=pack(labels)))
    hand.finish()
    return hand.run


def test_only_what_differs_is_said_of_the_recipes(client: TestClient, state: State):
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
    assert found["curves"]["traces"][0]["meta"] == {"role": "0", "elapsed": [2.0, 4.0], "steps": 3}

    losses = compared(client, runs=[one, other], field="val_loss")["curves"]
    assert not losses["percent"] and losses["target"] is None


def test_a_group_stands_beside_a_run_with_its_mean_and_band(client: TestClient, state: State):
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
    assert client.get("/compare", params={"groups": name[:10]}).status_code == 200, "one alone is a beginning"


def test_the_page_says_the_same_without_a_script(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.95), lr=0.1), ran(client, state, (0.6, 0.96), lr=0.2)

    page = client.get(f"/compare?runs={one},{other}").text
    assert '<th scope="col" class="knob">schedule.lr</th>' in page
    assert f'href="/compare?runs={other}" aria-label="Remove' in page
    assert "Nothing to compare yet" in client.get("/compare").text
    from_the_list = client.get(f"/compare?runs={one}&back=sort%3Dname&tag=&runs={other}", follow_redirects=False)
    assert from_the_list.headers["location"] == f"/compare?runs={one},{other}"


def test_a_part_that_only_one_recipe_has_is_no_axis_and_no_fault(client: TestClient, state: State):
    one = ran(client, state, (0.5, 0.95))
    recipe = {"dataset": {"name": "digits"}, "epochs": 2, "schedule": {"kind": "constant", "lr": 0.1}, "mixup": {}}
    other = client.post("/api/v1/runs", json={"recipe": recipe}).json()["runs"][0]["id"]
    page = client.get(f"/compare?runs={one},{other}")
    assert page.status_code == 200 and "mixup.alpha" in page.text


def test_recipes_that_are_the_same_say_so(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.95)), ran(client, state, (0.6, 0.96))
    assert "do not differ in any setting" in client.get(f"/compare?runs={one},{other}").text


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"runs": "1,x"}, 422, "runs"),
        ({"runs": "-1"}, 422, "runs"),
        ({"runs": ",".join(map(str, range(1, 102)))}, 422, "runs"),
        ({"field": "luck"}, 422, "field"),
        ({"runs": "999"}, 404, None),
        ({"groups": "0123456789ab"}, 404, None),
    ],
)
def test_what_cannot_be_compared_is_named(client: TestClient, asked: dict[str, Any], status: int, field: str | None):
    answer = client.get("/api/v1/compare", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert client.get("/compare", params=asked).status_code == status


def test_pictures_that_only_one_run_got_right_are_shown_with_what_the_other_took_them_for(
    client: TestClient, state: State
):
    one, other = guessed(client, state, [3, 5], seed=0), guessed(client, state, [5, 9, 11], seed=1)
    labels = digits.read()[3]

    found = client.get("/api/v1/compare/pictures", params={"left": one, "right": other}).json()
    assert (found["both"], found["neither"], found["only_left"], found["only_right"]) == (296, 1, 2, 1)
    assert [picture["number"] for picture in found["pictures_left"]] == [9, 11]
    (right,) = found["pictures_right"]
    assert (right["number"], right["label"]) == (3, str(labels[3]))
    assert right["taken"] == [str((labels[3] + 1) % 10), str(labels[3])]
    assert right["png"].startswith("data:image/png;base64,")

    page = client.get(f"/compare?runs={one},{other}&left={one}&right={other}").text
    assert f"Only #{one} got these right" in page and page.count('class="pixels"') == 3


def test_pictures_of_a_run_with_tta_are_known_by_either_of_its_accuracies(client: TestClient, state: State):
    of_plain = guessed(client, state, [3, 5], with_tta=0.5, tta="flip")
    of_tta = guessed(client, state, [3, 5], said=0.5, with_tta=1 - 2 / 300, tta="flip")

    found = client.get("/api/v1/compare/pictures", params={"left": of_plain, "right": of_tta}).json()
    assert (found["both"], found["neither"]) == (298, 2)


def test_pictures_cannot_be_compared_where_runs_saw_others_or_kept_nothing(client: TestClient, state: State):
    one = guessed(client, state, [3])
    limited = guessed(client, state, [3], dataset={"name": "digits", "val_limit": 100})
    without = ran(client, state, (0.5,))
    elsewhere = guessed(client, state, [3], said=0.5, seed=7)  # its own labels were others

    for right, sentence in (
        (limited, "other pictures"),
        (without, "kept no predictions"),
        (elsewhere, "are not those that run"),
    ):
        answer = client.get("/api/v1/compare/pictures", params={"left": one, "right": right})
        assert (answer.status_code, answer.json()["field"]) == (422, "right")
        assert sentence in answer.json()["detail"]
        assert sentence in client.get(f"/compare?runs={one},{limited}&left={one}&right={right}").text
