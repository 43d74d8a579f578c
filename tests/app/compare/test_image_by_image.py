"""Two runs, or two groups, image by image: where they disagree, by how much, and what that says."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.board.test_ranking import PLACE, ran
from tests.app.support.cast import SPACE, Hand, epoch, started
from trainer.data import digits
from trainer.data.predictions import pack

DIGITS = {"dataset": {"name": "digits"}, "epochs": 1, "batch_size": 50}


def predicted(
    http: TestClient,
    state: State,
    wrong: list[int],
    accuracy: float | None = None,
    with_tta: float | None = None,
    place: dict[str, Any] = PLACE,
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
    hand.say(started(environment=place), epoch(1, accuracy, tta_accuracy=with_tta, predictions=pack(labels)))
    hand.finish()
    return hand.run


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


def test_a_run_cannot_be_compared_with_itself_or_on_other_data_of_the_same_name(client: TestClient, state: State):
    one = predicted(client, state, [3])
    changed = predicted(client, state, [3], seed=1, place=PLACE | {"dataset_fingerprint": "other"})

    itself = client.get("/api/v1/compare/pictures", params={"left": one, "right": one})
    other = client.get("/api/v1/compare/pictures", params={"left": one, "right": changed})

    assert (itself.status_code, itself.json()["detail"]) == (422, f"right: run {one} is on both sides")
    assert (other.status_code, "other images" in other.json()["detail"]) == (422, True)


def test_two_runs_are_compared_by_mcnemar_s_test_and_a_paired_interval(client: TestClient, state: State):
    one, other = predicted(client, state, [3, 5], seed=0), predicted(client, state, [5, 9, 11, 12], seed=1)

    paired = client.get("/api/v1/compare/pictures", params={"left": one, "right": other}).json()["paired"]

    assert (paired["images"], paired["runs"]) == (300, [[one], [other]])
    assert paired["difference"] == pytest.approx(2 / 300)
    assert paired["mcnemar_p"] == pytest.approx(0.625)  # 3 against 1
    assert paired["on_other_images"][0] < 0 < paired["on_other_images"][1]
    assert paired["on_other_seeds"] is None
    page = client.get(f"/compare?runs={one},{other}&left={one}&right={other}").text
    assert paired["sentence"] in page.replace("&#39;", "'")


def test_two_groups_are_compared_by_the_share_of_their_runs_that_got_each_image_right(client: TestClient, state: State):
    left = [predicted(client, state, wrong, seed=seed) for seed, wrong in enumerate(([3, 5], [5, 7], [5]))]
    right = [
        predicted(client, state, wrong, seed=seed, epochs=2) for seed, wrong in enumerate(([3, 5], [5, 9, 11, 12]))
    ]
    ran(client, state, (0.5,), seed=9)  # of another recipe
    names = [client.get(f"/api/v1/runs/{run}").json()["recipe_hash"] for run in (left[0], right[0])]

    query = {"left_group": names[0], "right_group": names[1][:10]}
    found = client.get("/api/v1/compare/pictures", params=query).json()

    assert (found["both"], found["only_left"], found["only_right"], found["neither"]) == (294, 4, 1, 1)
    assert [(one["number"], one["correct"]) for one in found["pictures_left"]] == [
        (9, [3, 1]), (11, [3, 1]), (12, [3, 1]), (3, [2, 1]),
    ]  # fmt: skip
    assert [one["number"] for one in found["pictures_right"]] == [7]
    paired = found["paired"]
    assert paired["runs"] == [left, right] and paired["mcnemar_p"] is None
    assert paired["difference"] == pytest.approx(3 / 300 - 5 / 3 / 300)
    low, high = paired["on_other_seeds"]
    assert low < paired["difference"] < high

    page = client.get("/compare", params={"groups": ",".join(names)}).text
    assert f'<option value="{left[0]},{left[1]},{left[2]}"' in page and f'<option value="{left[0]}"' in page
    chosen = {"left": ",".join(map(str, left)), "right": ",".join(map(str, right))}
    page = client.get("/compare", params={"groups": ",".join(names)} | chosen).text
    assert "right more often" in page and "3 of 3, 1 of 2" in page
    assert "other seeds differ by" in page and f"95{SPACE}% confidence interval" in page


def test_runs_of_a_group_without_predictions_are_left_out(client: TestClient, state: State):
    one = [predicted(client, state, [3], seed=0), predicted(client, state, [4], seed=1)]
    without = ran(client, state, (0.5,), seed=2)
    other = predicted(client, state, [5], epochs=2)

    both: dict[str, str | int] = {"left": f"{one[0]},{one[1]}", "right": other}
    found = client.get("/api/v1/compare/pictures", params=both).json()
    assert found["paired"]["runs"] == [one, [other]] and found["paired"]["on_other_seeds"] is None
    name = client.get(f"/api/v1/runs/{without}").json()["recipe_hash"]
    refused = client.get("/api/v1/compare/pictures", params={"left": other, "right_group": name})
    assert refused.status_code == 422 and "has no predictions" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"left": "1"}, 422, "either run numbers (right) or a recipe's hash (right_group)"),
        ({"left": "1", "left_group": "0123456789", "right": "2"}, 422, "either run numbers (left)"),
        ({"left": "x", "right": "1"}, 422, "'x' is not a run number"),
        ({"left": "1,2", "right": "3"}, 422, "runs 1 and 2 are not of one recipe"),
        ({"left": "99", "right": "1"}, 404, "there is no run 99"),
        ({"left": "1", "right_group": "0123456789ab"}, 404, "there is no group"),
    ],
)
def test_sides_that_cannot_be_compared_are_refused_in_a_sentence(
    client: TestClient, state: State, query: dict[str, str], status: int, sentence: str
):
    for epochs in (1, 2, 3):
        predicted(client, state, [3], epochs=epochs)

    answer = client.get("/api/v1/compare/pictures", params=query)

    assert answer.status_code == status and sentence in answer.json()["detail"]
