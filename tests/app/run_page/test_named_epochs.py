"""Each number and each file says which epoch it is of: the best one and the last one differ."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from app.web.labels import epoch_label
from tests.app.support.cast import SMALL, Hand, epoch, launch, started
from tests.app.support.page_text import words
from tests.app.support.queue_verbs import rescue
from tests.app.workers.test_artifacts import put


@pytest.fixture
def hand(client: TestClient, state: State) -> Hand:
    """Of a run that was best in epoch 2 of 5, with the weights of that epoch and the last checkpoint."""
    launch(state, SMALL | {"epochs": 5})
    made = Hand(client, state)
    assert made.claim()
    made.say(started(), *(epoch(number, share) for number, share in enumerate((0.5, 0.8767, 0.7, 0.6, 0.4433), 1)))
    assert put(made, b"weights", "best.safetensors", epoch=2) == 200
    assert put(made, b"everything", epoch=5) == 200
    made.finish()
    return made


@pytest.mark.parametrize(
    ("epoch", "best", "last", "label"),
    [
        (2, 2, 5, "best epoch (2)"),
        (5, 2, 5, "last epoch (5)"),
        (5, 5, 5, "best and last epoch (5)"),
        (3, 2, 5, "epoch 3"),
        (1, None, 1, "last epoch (1)"),
    ],
)
def test_an_epoch_is_called_by_what_it_is_in_its_run(epoch: int, best: int | None, last: int, label: str):
    assert epoch_label(epoch, best, last) == label


def test_files_and_exports_on_the_page_of_a_run_name_their_epoch_and_its_accuracy(client: TestClient, hand: Hand):
    page = words(client.get(f"/runs/{hand.run}").text)

    assert "weights: best epoch (2), 87.67 %" in page
    assert "The same weights in other formats, best epoch (2), 87.67 %: Keras, ONNX" in page
    assert "everything needed to resume the run: last epoch (5), 44.33 %" in page
    assert "A worker predicts its class with these weights: best epoch (2), 87.67 %." in page
    assert "Best accuracy 87.67 % epoch 2" in page
    assert "Last accuracy 44.33 % epoch 5" in page


def test_files_in_json_say_whether_they_are_of_the_best_or_the_last_epoch(client: TestClient, hand: Hand):
    for files in (
        client.get(f"/api/v1/runs/{hand.run}/artifacts").json(),
        client.get(f"/api/v1/runs/{hand.run}").json()["artifacts"],
    ):
        assert [(one["epoch"], one["accuracy"], one["is_best"], one["is_last"]) for one in files] == [
            (2, 0.8767, True, False),
            (5, 0.4433, False, True),
        ]


def test_with_tta_a_file_has_both_accuracies(client: TestClient, state: State):
    launch(state, SMALL | {"tta": "flip"})
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.6, tta_accuracy=0.7))
    assert put(hand, b"weights", "best.safetensors", epoch=1) == 200

    (file,) = client.get(f"/api/v1/runs/{hand.run}/artifacts").json()
    assert (file["accuracy"], file["plain_accuracy"]) == (0.7, 0.6)
    assert "weights: best and last epoch (1), 70.00 % (60.00 % without TTA)" in words(
        client.get(f"/runs/{hand.run}").text
    )


def test_a_file_has_the_accuracy_of_its_own_attempt_not_of_a_later_one(client: TestClient, state: State):
    launch(state, SMALL | {"epochs": 3})
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.5), epoch(2, 0.9))
    assert put(hand, b"weights", "best.safetensors", epoch=2) == 200
    rescue(state, (hand.run, hand.attempt))
    assert hand.claim()
    hand.say(started(resumed_from_epoch=1), epoch(2, 0.8))  # on a GPU, not bit-identical

    (file,) = client.get(f"/api/v1/runs/{hand.run}/artifacts").json()
    assert (file["attempt"], file["accuracy"]) == (1, 0.9)


def test_list_home_compare_and_exports_name_the_epoch(client: TestClient, hand: Hand):
    assert "87.67 % epoch 2" in words(client.get("/runs").text)
    assert "44.33 % epoch 5" in words(client.get("/runs?column=last_val_accuracy").text)
    page = words(client.get(f"/compare?runs={hand.run}").text)
    assert "Final accuracy last epoch" in page and "44.33 % epoch 5 87.67 % epoch 2" in page
    (side,) = client.get(f"/api/v1/compare?runs={hand.run}").json()["sides"]
    assert (side["accuracy"], side["last_epoch"], side["best"], side["best_epoch"]) == (0.4433, 5, 0.8767, 2)
    head, row = (line.split(",") for line in client.get("/api/v1/runs.csv").text.splitlines()[:2])
    named = dict(zip(head, row, strict=True))
    assert (named["best_val_accuracy"], named["best_epoch"]) == ("0.8767", "2")


def test_a_group_s_mean_says_that_it_is_of_the_last_epoch(client: TestClient, hand: Hand):
    recipe_hash = client.get(f"/api/v1/runs/{hand.run}").json()["recipe_hash"]
    assert "Final accuracy 44.33 % last epoch, n = 1: no spread" in words(client.get(f"/groups/{recipe_hash}").text)
    (side,) = client.get(f"/api/v1/compare?groups={recipe_hash}").json()["sides"]
    assert (side["last_epoch"], side["best_epoch"]) == (None, None)
