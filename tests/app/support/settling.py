"""Two recipes on one machine: their runs, made by hand, and a worker that carries what a settle queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.cast import SMALL, Hand, epoch, started, until

CPU = "cpu: Testing 3000"
PLACE = {"device": "cpu", "cpu": "Testing 3000", "dataset_fingerprint": "f" * 64, "pitwall": "1"}
SLOW: dict[str, Any] = {"schedule": {"max_lr": 0.011}}  # differs from the baseline, which is SMALL


def carried(
    http: TestClient,
    state: State,
    accuracy: Callable[[dict[str, Any]], float] = lambda run: 0.9,
    outcome: str = "succeeded",
    failure: str = "",
    **environment: Any,
) -> dict[str, Any] | None:
    """The worker claims the next run and ends it; answers the run, or None where nothing is queued."""
    hand = Hand(http, state)
    if not hand.claim():
        return None
    run = http.get(f"/api/v1/runs/{hand.run}").json()
    share = accuracy(run)
    hand.say(started(environment=PLACE | environment), *(epoch(n, share) for n in (1, 2, 3, 4)))
    if failure:
        hand.say({"event": "failed", "kind": failure, "message": f"It ended as {failure}."})
    hand.finish("failed" if failure else outcome, exit_code=1 if failure else 0)
    return dict(http.get(f"/api/v1/runs/{hand.run}").json())


def launched(http: TestClient, recipe: dict[str, Any] | None = None, **body: Any) -> str:
    """Queue a recipe; answers its hash."""
    answer = http.post("/api/v1/runs", json={"recipe": SMALL | (recipe or {})} | body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["runs"][0]["recipe_hash"])


def pair(
    http: TestClient, state: State, one: Iterable[float] = (0.9,), other: Iterable[float] = (0.5,)
) -> tuple[str, str]:
    """Two recipes with a run for each of these final accuracies."""
    hashes = []
    for name, recipe, shares in (("First", {}, list(one)), ("Second", SLOW, list(other))):
        for seed, share in enumerate(shares):
            hashes.append(launched(http, recipe | {"seed": seed}, name=name))
            assert carried(http, state, lambda run, share=share: share)  # type: ignore[misc]
    return hashes[0], hashes[-1]


def settle(http: TestClient, hashes: tuple[str, str], **more: Any) -> dict[str, Any]:
    answer = http.post(
        "/api/v1/settles", json={"baseline": hashes[0], "candidate": hashes[1], "metric": "accuracy"} | more
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/settles/{answer.json()['settle']}"
    return dict(answer.json())


def shown(http: TestClient, number: int) -> dict[str, Any]:
    return dict(http.get(f"/api/v1/settles/{number}").json())


def looked(http: TestClient, number: int) -> dict[str, Any]:
    """The settle, once it has looked at every run that has ended."""

    def has_looked() -> dict[str, Any] | None:
        found = shown(http, number)
        is_idle = found["status"] == "running" and len(found["in_progress"]) < min(2, found["looks_left"])
        return None if is_idle else found

    return dict(until(has_looked, 10))
