"""What is remarked on a recipe from the records, and on a run from what its steps really did."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from app.workers.reports import MAX_EVIDENCE
from tests.app.support.cast import SMALL, Hand, claim, launch, started, trained
from tests.app.support.queue_verbs import attempt_of, finish, held_run, kinds, rescue, say
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import rates_at

CHECK = "/api/v1/previews/check"
RECIPE = Recipe.model_validate(SMALL)


def evidence(epoch: int, **changes: Any) -> dict[str, Any]:
    """As the trainer measures the first step of an epoch of a small run that does what its recipe says."""
    said = {
        "event": "evidence",
        "epoch": epoch,
        "pictures": 50,
        "changes": [
            {"name": "pad_crop", "position": 0, "pixels": 0.812, "pictures": 0.98},
            {"name": "flip", "position": 1, "pixels": 0.4, "pictures": 0.5},
            {"name": "cutout", "position": 2, "pixels": 0.1, "pictures": 0.52},
        ],
        "is_what_the_step_saw": True,
        "new_pixels": None if epoch == 1 else 0.731,
        "learning_rate": float(rates_at(RECIPE, 1497, np.array([(epoch - 1.0) * 30]))[0]),
        "label_entropy": 0.0,
        "input_low": 0.0,
        "input_high": 1.0,
        "gradient_norm": 0.5,
        "decay_norm": 0.008,
        "weight_norm": 8.0,
    }
    return said | changes


def target_warnings(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    answer = client.post(CHECK, json={"preset": "quickstart"} | body)
    return [one for one in answer.json()["warnings"] if one["code"] == "target_never_reached"]


def test_a_target_that_three_runs_missed_is_remarked_with_one_within_reach(client: TestClient, state: State):
    for accuracy in (0.41, 0.5778, 0.5):
        assert target_warnings(client) == []
        trained(client, state, (accuracy, 0.3), preset="quickstart")

    (found,) = target_warnings(client)
    assert found["path"] == "target_accuracy"
    assert "None of 3 runs of this preset on digits has reached 95.00%; the best reached 57.78%." in found["text"]
    assert (found["mend"], found["fix"]) == ("Aim for 57%", {"target_accuracy": 0.57})
    assert target_warnings(client, recipe=found["fix"]) == []
    assert 'data-code="target_never_reached"' in client.get("/runs/new?preset=quickstart").text


def test_only_runs_that_succeeded_of_the_same_preset_and_data_set_count(client: TestClient, state: State):
    trained(client, state, (0.4,), preset="quickstart")
    trained(client, state, (0.4,), preset="quickstart")
    trained(client, state, (0.4,), preset="seed-base", recipe=SMALL | {"dataset": {"name": "digits"}})
    trained(client, state, (0.4,), preset="quickstart", recipe=SMALL | {"dataset": {"name": "cifar10"}})
    trained(client, state, (0.4,))
    for outcome in ("failed", "cancelled"):
        client.post("/api/v1/runs", json={"preset": "quickstart"})
        hand = Hand(client, state)
        assert hand.claim()
        hand.say(started())
        hand.finish(outcome)
    client.post("/api/v1/runs", json={"preset": "quickstart"})
    assert target_warnings(client) == []

    trained(client, state, (0.4,), preset="quickstart", priority=1)
    assert len(target_warnings(client)) == 1
    assert target_warnings(client, preset="seed-base", recipe={"dataset": {"name": "digits"}}) == []
    assert target_warnings(client, recipe={"dataset": {"name": "cifar10"}}) == []
    assert target_warnings(client, preset=None) == []


@pytest.mark.parametrize(("best", "is_remarked"), [(0.9499, True), (0.95, False), (0.96, False), (None, False)])
def test_a_target_that_one_of_them_reached_is_none_to_remark(
    client: TestClient, state: State, best: float | None, is_remarked: bool
):
    for accuracy in (None, best, None):
        trained(client, state, (accuracy,), preset="quickstart")

    assert bool(target_warnings(client)) == is_remarked


def test_where_nothing_was_learned_no_target_is_proposed(client: TestClient, state: State):
    for _ in range(3):
        trained(client, state, (0.004,), preset="quickstart")

    (found,) = target_warnings(client)
    assert (found["mend"], found["fix"]) == ("", {})


# evidence


def told(client: TestClient, state: State, *said: dict[str, Any]) -> Hand:
    """A small run whose worker has told so much."""
    client.post("/api/v1/runs", json={"recipe": SMALL})
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), *said)
    return hand


def evidence_section(page: str) -> str:
    found = re.search(r'<div class="evidence".*?</section>', page, re.DOTALL)
    assert found is not None
    return unescape(re.sub(r"<[^>]+>", " ", found[0]))


def test_evidence_is_stored_once_each_and_no_more_than_a_page_can_hold(state: State):
    held = held_run(state)
    many = [evidence(epoch) for epoch in range(1, MAX_EVIDENCE + 6)]

    assert say(state, held, started(), *many[:2]) == 3
    assert say(state, held, started(), *many[:2]) == 3  # sent again
    assert [one["epoch"] for one in attempt_of(state, held[0]).evidence] == [1, 2]

    assert say(state, held, *many[2:], first=3) == len(many) + 1
    assert [one["epoch"] for one in attempt_of(state, held[0]).evidence] == list(range(1, 21))
    assert MAX_EVIDENCE == 20
    assert kinds(state, held[0]).count("evidence") == len(many)


def test_evidence_belongs_to_its_attempt_and_the_latest_is_shown(client: TestClient, state: State):
    launch(state)
    first = claim(state)
    assert first is not None
    say(state, first, started(), evidence(1))
    rescue(state, first)
    second = claim(state)
    assert second is not None
    say(state, second, started(), evidence(3))

    attempts = client.get("/api/v1/runs/1").json()["attempts"]
    assert [[one["epoch"] for one in attempt["evidence"]] for attempt in attempts] == [[1], [3]]
    page = client.get("/runs/1").text
    assert "Epoch 3, first step" in page and "Epoch 1, first step" not in page


def test_what_was_measured_is_on_the_run_s_page_and_in_its_json(client: TestClient, state: State):
    told(client, state, evidence(1), evidence(2))

    page = client.get("/runs/1").text
    text = " ".join(evidence_section(page).split())
    assert "Epoch 1, first step" in text and "Epoch 2, first step" in text
    assert "pad crop pad 4, mode reflect 81.2% of pixels, 98% of images" in text
    assert "73.1% of pixels differ from epoch 1" in text
    assert "l2 0.0005 (2·value·w) 0.016 of the gradient (0.001·w)" in text
    assert "every setting matches the recipe" in text
    assert "does not match its recipe" not in text

    run = client.get("/api/v1/runs/1").json()
    kept = run["attempts"][0]["evidence"]
    assert [one["epoch"] for one in kept] == [1, 2]
    assert kept[1]["changes"] == evidence(2)["changes"]
    assert evidence_section(f'<div class="evidence">{client.get("/runs/1/evidence").text}</section>').split() == (
        evidence_section(page).split()
    )


def test_before_anything_is_measured_the_page_says_what_will_be(client: TestClient, state: State):
    client.post("/api/v1/runs", json={"recipe": SMALL})
    assert "Measured at the first step of epochs 1 and 2" in client.get("/runs/1").text

    told(client, state)
    assert "Measured at the first step of epochs 1 and 2" in client.get("/runs/1").text
    assert client.get("/api/v1/runs/1").json()["attempts"][0]["evidence"] == []


CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"changes": [change | {"pixels": 0.0, "pictures": 0.0} for change in evidence(1)["changes"]]},
     "augment.0", "pad_crop changed no pixel of the 100 images"),
    ({"changes": []}, "augment.2", "cutout changed no pixel"),
    ({"is_what_the_step_saw": False}, "augment", "is not what the recipe's operations produce from its images"),
    ({"new_pixels": 0.0}, "augment_when", "saw the same images as epoch 1"),
    ({"label_entropy": 0.4}, "loss", "used softer labels (entropy 0.400)"),
    ({"input_high": 255.0}, "normalize", "input was in 0..255, but the recipe says 0..1"),
    ({"decay_norm": 0.0}, "optimizer.weight_decay", "weight decay added 0 to the gradient"),
    ({"learning_rate": 0.05}, "schedule", "started with a learning rate of 0.05"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "sentence"), CONTRADICTIONS)
def test_what_contradicts_the_recipe_is_told_first(
    client: TestClient, state: State, changes: dict[str, Any], path: str, sentence: str
):
    told(client, state, evidence(1, **(changes if "new_pixels" not in changes else {})), evidence(2, **changes))

    for address in ("/runs/1", "/runs/1/evidence"):
        page = client.get(address).text
        assert "The run does not match its recipe." in page
        assert "every setting matches the recipe" not in page
        before_table = page.rpartition('data-fragment="/runs/1/evidence"')[2].partition("<table")[0]
        said = {unescape(found) for found in re.findall(r"<li><code>([^<]*)</code> [^<]*</li>", before_table)}
        assert path in said
        assert sentence in unescape(page)


def test_a_rate_or_weights_of_nothing_do_not_break_the_page(client: TestClient, state: State):
    told(client, state, evidence(1, gradient_norm=0.0, decay_norm=0.0), evidence(2, weight_norm=0.0, decay_norm=0.0))

    page = client.get("/runs/1")
    assert page.status_code == 200
    assert "not measurable at a learning rate of 0" in page.text and "no weights to decay" in page.text


def test_the_check_of_a_run_s_recipe_stands_open_until_it_has_ended(client: TestClient, state: State):
    hand = told(client, state, evidence(1))
    summary = r"<details (open)?\s*>\s*<summary>Recipe check"

    before = re.search(summary, client.get("/runs/1").text)
    hand.finish()
    after = re.search(summary, client.get("/runs/1").text)

    assert before is not None and after is not None
    assert (before[1], after[1]) == ("open", None)


def test_what_a_worker_says_is_text_on_the_page(client: TestClient, state: State):
    changes = [{"name": "<b>x</b>", "position": 0, "pixels": 0.5, "pictures": 1.0, "more": "<script>"}]
    told(client, state, evidence(1, changes=changes, more="<script>alert(1)</script>"))

    page = client.get("/runs/1").text
    assert "<b>x</b>" not in page and "<script>alert" not in page
    assert client.get("/api/v1/runs/1").json()["attempts"][0]["evidence"][0]["more"] == "<script>alert(1)</script>"


def test_a_finished_run_keeps_its_evidence(state: State):
    held = held_run(state)
    say(state, held, started(), evidence(1))
    finish(state, held)

    assert [one["epoch"] for one in attempt_of(state, held[0]).evidence] == [1]
