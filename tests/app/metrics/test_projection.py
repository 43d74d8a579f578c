"""When a run will reach its target: from what repeats did before, from its curve alone; and where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.metrics.curves import Curve
from app.metrics.projection import project
from app.web.deps import State
from tests.app.board.test_ranking import PLACE, SMALL, ran
from tests.app.support.cast import SPACE, Hand, epoch, started

EPOCHS = 20


def curve(accuracies: Any, seconds: float = 2.0) -> Curve:
    n = len(accuracies)
    other = np.full(n, np.nan)
    each = np.full(n, seconds)
    accuracy = np.asarray(accuracies, float)
    return Curve(1, np.arange(1.0, n + 1), np.cumsum(each), other, other, other, other, accuracy, other, each)


def rising(rate: float = 5.0, noise: Any = 0.0) -> Any:
    """Towards 96 %."""
    return 0.96 - 0.6 * np.exp(-np.arange(1, EPOCHS + 1) / rate) + noise


def test_a_run_is_projected_to_reach_the_target_where_earlier_runs_did():
    history = [curve(rising()) for _ in range(5)]
    there = int(np.argmax(rising() >= 0.94)) + 1

    found = project(curve(rising()[:6], seconds=3.0), EPOCHS, 0.94, history)
    assert found is not None
    assert (found.epoch, found.rests_on) == (there, 5)
    assert found.seconds == pytest.approx(6 * 3.0 + (there - 6) * 3.0), "at this run's own speed"
    assert found.early == found.late == found.seconds
    assert found.chance == pytest.approx(5.5 / 6)


def test_a_lead_that_persisted_in_earlier_runs_brings_the_target_nearer():
    history = [curve(rising() + shift) for shift in (-0.02, -0.01, 0.0, 0.01)]
    usual = project(curve(rising()[:6] - 0.005), EPOCHS, 0.92, history)
    ahead = project(curve(rising()[:6] + 0.02), EPOCHS, 0.92, history)

    assert usual is not None and ahead is not None and usual.epoch is not None and ahead.epoch is not None
    assert ahead.epoch < usual.epoch


def test_misses_of_earlier_runs_lower_the_chance():
    history = [curve(rising()), curve(rising() - 0.05), curve(rising() - 0.05)]
    found = project(curve((rising() - 0.05)[:6]), EPOCHS, 0.94, history)

    assert found is not None
    assert (found.epoch, found.seconds, found.late) == (None, None, None)
    assert found.chance < 0.5


def test_the_interval_from_earlier_runs_covers_at_least_80_percent():
    generator, inside = np.random.default_rng(5), 0
    for _ in range(200):
        noise = generator.normal(0, 0.004, (9, EPOCHS)) + generator.normal(0, 0.004, (9, 1))
        runs = [rising(noise=one) for one in noise]
        there = int(np.argmax(runs[0] >= 0.93)) + 1
        if there <= 6:
            continue
        found = project(curve(runs[0][:6], seconds=1.0), EPOCHS, 0.93, [curve(one) for one in runs[1:]])
        assert found is not None and found.early is not None
        inside += found.early <= there <= (np.inf if found.late is None else found.late)
    assert inside >= 160


def test_a_single_curve_is_projected_from_its_sixth_epoch():
    power = 1 - 0.5 * np.arange(1, 31) ** -0.7
    there = int(np.argmax(power >= 0.93)) + 1
    assert project(curve(power[:5]), 30, 0.93, []) is None
    found = project(curve(power[:10], seconds=1.0), 30, 0.93, [])
    assert found is not None
    assert (found.epoch, found.rests_on) == (there, 0)
    never = project(curve(power[:10]), 12, 0.99, [])
    assert never is not None and never.seconds is None and never.chance < 0.01


def test_there_is_no_projection_without_enough_epochs():
    assert project(curve([np.nan] * 8), EPOCHS, 0.9, []) is not None
    assert project(curve([0.5]), EPOCHS, 0.9, [curve([0.4])]) is None, "no earlier run is further"
    flat = project(curve([0.5] * 8), EPOCHS, 0.9, [])
    assert flat is not None and flat.seconds is None


def under_way(client: TestClient, state: State, *accuracies: float, seed: int = 9) -> int:
    recipe = SMALL | {"epochs": 3, "seed": seed, "schedule": {"kind": "constant", "lr": 0.1}, "target_accuracy": 0.94}
    client.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), *(epoch(n, share, 4.0) for n, share in enumerate(accuracies, 1)))
    return hand.run


def test_the_page_of_a_run_shows_its_progress_vs_the_best(client: TestClient, state: State):
    for seed in range(2):
        ran(client, state, (0.5, 0.9, 0.95), seed=seed, lr=0.1, seconds=2.0)
    run = under_way(client, state, 0.55, 0.89)

    page = client.get(f"/runs/{run}").text
    assert "Progress vs. best" in page and f"≈ 12.0{SPACE}s" in page
    assert "based on 2 previous runs and the curve so far" in page
    assert f"−1.00{SPACE}points" in page, "beside the best at epoch 2"
    assert f"−6.00{SPACE}points" in page, "beside the best at second 8, when that had ended"
    fragment = page.partition(f'data-fragment="/runs/{run}/standing')[2].partition('"')[0].replace("&amp;", "&")
    assert client.get(f"/runs/{run}/standing{fragment}").text.strip() in page


def test_who_stands_alone_is_compared_with_nobody(client: TestClient, state: State):
    run = under_way(client, state, 0.5)
    assert "Progress vs. best" not in client.get(f"/runs/{run}").text
    assert client.get(f"/runs/{run}/standing?beside=").status_code == 200
    assert client.get(f"/runs/{run}/standing?beside=999").status_code == 200
    assert client.get(f"/runs/{run}/standing?beside=x").status_code == 422
