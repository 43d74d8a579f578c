"""Evaluation of a run's last predictions: confusion, classes, calibration and the most confident mistakes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.images import evaluation
from app.images.predictions import Validation
from app.web.deps import State
from tests.app.board.test_ranking import PLACE
from tests.app.support.cast import Hand, epoch, launch, started
from tests.app.support.page_text import words
from trainer.data import digits
from trainer.data.gallery import Split
from trainer.data.predictions import pack, pack_confidences, unpack_confidences

DIGITS = {"dataset": {"name": "digits"}, "epochs": 1, "batch_size": 50}


def validation(labels: list[int], predicted: list[int], confidence: list[float] | None, classes: int = 3) -> Validation:
    names = tuple(f"class {number}" for number in range(classes))
    images = np.zeros((len(labels), 32, 32, 3), np.uint8)
    shelf = Split(images, np.array(labels, np.int64), names, "key")
    return Validation(shelf, np.array(predicted, np.uint16), None if confidence is None else np.array(confidence))


def test_confusion_counts_each_label_against_its_predictions():
    found = evaluation.evaluate(validation([0, 0, 0, 1, 1], [0, 1, 1, 1, 0], [0.5, 0.9, 0.6, 0.8, 0.99]))
    assert found.confusion is not None
    assert found.confusion.tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 0]]
    assert [(one.images, round(one.recall, 3)) for one in found.classes[:2]] == [(3, 0.333), (2, 0.5)]
    assert [round(one.precision, 3) for one in found.classes[:2]] == [0.5, 0.333]
    assert np.isnan(found.classes[2].recall) and np.isnan(found.classes[2].precision)
    assert found.pairs == [("class 0", "class 1", 2), ("class 1", "class 0", 1)]
    assert [(one.number, one.confidence) for one in found.mistakes] == [(4, 0.99), (1, 0.9), (2, 0.6)]
    assert (found.mistakes[0].label, found.mistakes[0].predicted) == ("class 1", "class 0")


def test_the_calibration_error_is_the_weighted_distance_between_confidence_and_accuracy():
    confidence, correct = (
        np.array([0.95, 0.95, 0.95, 0.95, 0.25, 1.0]),
        np.array([True, True, False, False, False, True]),
    )
    bins = evaluation.calibration_bins(confidence, correct)
    assert [(one.low, one.images, round(one.accuracy, 3)) for one in bins] == [(0.2, 1, 0.0), (0.9, 5, 0.6)]
    found = evaluation.evaluate(validation([0] * 6, [0, 0, 1, 1, 1, 0], confidence.tolist()))
    assert found.error == pytest.approx((1 * 0.25 + 5 * abs(0.6 - 0.96)) / 6)


def test_without_confidences_the_rest_is_still_shown():
    found = evaluation.evaluate(validation([0, 1], [0, 0], None))
    assert (found.mistakes, found.bins, found.error) == ([], [], None)
    assert found.pairs


def test_with_many_classes_only_the_most_confused_pairs_are_shown():
    found = evaluation.evaluate(validation([0, 1], [1, 99], [0.5, 0.5], classes=100))
    assert found.confusion is None
    assert found.pairs == [("class 0", "class 1", 1), ("class 1", "class 99", 1)]


def test_confidences_are_stored_to_a_255th_and_invalid_ones_become_zero():
    said = np.array([0.0, 0.5, 1.0, np.nan, 7.0], np.float32)
    np.testing.assert_allclose(unpack_confidences(pack_confidences(said)), [0, 0.5, 1, 0, 1], atol=1 / 255)
    with pytest.raises(ValueError, match="no predictions"):
        unpack_confidences("%%")


def test_a_run_s_page_shows_it_when_it_is_asked_for(client: TestClient, state: State):
    launch(state, DIGITS)
    hand = Hand(client, state)
    assert hand.claim()
    labels = digits.read()[3].copy()
    labels[[3, 5]] = (labels[[3, 5]] + 1) % 10
    surely = np.full(len(labels), 0.9)
    surely[5] = 0.97
    told: dict[str, Any] = {"predictions": pack(labels), "confidences": pack_confidences(surely)}
    hand.say(started(environment=PLACE), epoch(1, 1 - 2 / len(labels), **told))
    hand.finish()
    assert f'data-lazy="/runs/{hand.run}/learned?part=1"' in client.get(f"/runs/{hand.run}").text
    page = client.get(f"/runs/{hand.run}/learned?part=1").text
    assert "<h1" not in page
    assert "<h1" in client.get(f"/runs/{hand.run}/learned").text
    assert len(re.findall("<td[^>]*data-right", page)) == 10
    assert page.index('alt="image 5"') < page.index('alt="image 3"')
    assert "expected calibration error" in page
    assert words(page).startswith("The model after the best and last epoch (1): 298 of 300 images correct, 99.33 %.")


def test_the_evaluation_names_its_epoch_and_the_best_one(client: TestClient, state: State):
    launch(state, DIGITS | {"epochs": 2})
    hand = Hand(client, state)
    assert hand.claim()
    labels = digits.read()[3].copy()
    labels[:3] = (labels[:3] + 1) % 10
    hand.say(started(environment=PLACE), epoch(1, 0.995), epoch(2, 297 / 300, predictions=pack(labels)))
    hand.finish()
    page = words(client.get(f"/runs/{hand.run}/learned?part=1").text)
    assert "The model after the last epoch (2): 297 of 300 images correct, 99.00 %." in page
    assert "The best epoch (1) reached 99.50 %; its predictions are not stored." in page


def test_without_predictions_it_says_why(client: TestClient, state: State):
    run = launch(state, DIGITS)
    assert "has no predictions" in client.get(f"/runs/{run}/learned").text
    assert client.get("/runs/99/learned").status_code == 404
