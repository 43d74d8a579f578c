"""Estimates of a recipe come from similar runs on each kind of hardware; without any there is none."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.launch import estimates
from app.web.deps import State
from tests.app.support.cast import SMALL, Hand, epoch, launch, started
from trainer.recipe import Recipe


def ran(client: TestClient, state: State, seconds: float, device: str = "cpu", cpu: str = "A", **recipe: Any) -> int:
    launch(state, recipe)
    hand = Hand(client, state)
    assert hand.claim()
    memory = int(seconds * 2**30)
    hand.say(started(environment={"device": device, "cpu": cpu}), epoch(1, 0.5, seconds, memory_bytes=memory),
             epoch(2, 0.6, seconds, val_seconds=1.0))  # fmt: skip
    hand.finish()
    return hand.run


def asked(state: State, **changes: Any) -> list[estimates.Estimate]:
    with state.records.read() as session:
        return estimates.estimate_cost(session, Recipe.model_validate(SMALL | {"epochs": 10} | changes))


def test_time_is_epochs_times_what_runs_like_it_took(client: TestClient, state: State):
    for seconds in (1.0, 2.0, 3.0):
        ran(client, state, seconds, schedule={"kind": "constant", "lr": seconds / 10}, seed=int(seconds))
    ran(client, state, 9.0, cpu="B")
    near, far = asked(state)
    assert (near.hardware, near.runs) == ("cpu: A", 3)
    assert near.seconds == pytest.approx(10 * 2.5), "training and half a second of validation"
    assert [near.low, near.high] == pytest.approx([17.0, 33.0])
    assert near.memory == 3 * 2**30
    assert far.hardware == "cpu: B"
    assert far.seconds == pytest.approx(95.0)
    assert near.money is None


def test_another_dropout_takes_no_other_time(client: TestClient, state: State):
    ran(client, state, 1.0, model=SMALL["model"] | {"dropout": 0.2})
    assert len(asked(state, model=SMALL["model"] | {"dropout": 0.3})) == 1


def test_money_is_by_the_price_of_the_workers_that_ran_it(client: TestClient, state: State):
    ran(client, state, 359.5)
    client.patch("/api/v1/workers/ada", json={"price_per_hour": 3.0}).raise_for_status()
    [found] = asked(state)
    assert found.money == pytest.approx(3.0)


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 60}, {"model": {"width": 8}}, {"augment": [{"op": "flip"}]}, {"mixup": {}}, {"tta": "flip"},
     {"dataset": {"name": "digits", "train_limit": 100}}],
)  # fmt: skip
def test_what_takes_another_time_is_nothing_like_it(client: TestClient, state: State, change: dict[str, Any]):
    ran(client, state, 1.0)
    assert asked(state) != []
    assert asked(state, **change) == []


def test_the_form_says_it_or_says_that_it_is_unknown(client: TestClient, state: State):
    assert "no similar run has been trained here yet" in client.get("/runs/new?preset=quickstart").text
    run = client.post("/api/v1/runs", json={"preset": "quickstart"}).json()["runs"][0]["id"]
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment={"device": "cpu", "cpu": "A"}), epoch(1, 0.5, 2.0))
    hand.finish("failed")
    page = client.get("/runs/new?preset=quickstart").text
    assert "on cpu: A, from 1 similar run" in page
    assert run
