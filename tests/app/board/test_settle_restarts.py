"""A settle in an app that stops: nothing is lost, nothing is queued twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event

from app.application import create_app
from app.board import settles
from app.web.deps import State
from tests.app.support.cast import HERE, Site, state_of, until
from tests.app.support.settling import carried, pair, settle, shown

WRITES = ("INSERT", "UPDATE", "DELETE")


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.fixture
def asleep(app: FastAPI) -> Iterator[TestClient]:
    """The app without its background tasks: a settle looks only when a test says so."""
    yield TestClient(app, base_url=HERE, follow_redirects=False)


def step_until_write(state: State, number: int) -> bool:
    """A step of settle 1 that is killed at its n-th write. Whether it was: it may have fewer."""
    seen = 0

    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal seen
        if statement.lstrip().upper().startswith(WRITES):
            seen += 1
            if seen == number:
                raise Killed

    try:
        with state.records.write() as session:
            event.listen(session.connection(), "before_cursor_execute", count)
            settles.step(session, settles.find(session, 1), state)
    except Killed:
        return True
    return False


def everything(http: TestClient) -> Any:
    runs = http.get("/api/v1/runs", params={"limit": 100}).json()["runs"]
    return [(run["id"], run["status"], run["recipe_hash"], run["seed"]) for run in runs], shown(http, 1)


def accuracy_of(first: str) -> Any:
    return lambda run: (0.9 if run["recipe_hash"] == first else 0.5) + 0.002 * (run["seed"] % 3)


def test_a_step_that_is_killed_at_any_write_changes_nothing_and_is_taken_again(asleep: TestClient, state: State):
    one, other = pair(asleep, state)
    settle(asleep, (one, other))
    seeds = []
    while shown(asleep, 1)["status"] == "running":
        run = carried(asleep, state, accuracy_of(one))
        assert run, "a settle that runs has queued runs"
        seeds.append((run["recipe_hash"], run["seed"]))
        before, number = everything(asleep), 1
        while step_until_write(state, number):
            assert everything(asleep) == before, f"write {number} came through alone"
            number += 1
        assert number > 1, "a step after the end of a run writes"
        after = everything(asleep)
        settles.step_all(state)
        assert everything(asleep) == after, "a second look changes nothing"

    assert seeds == [(one, 1), (other, 1), (one, 2), (other, 2)]
    assert shown(asleep, 1)["status"] == "decided"


def test_a_settle_goes_on_in_another_app_on_the_same_records(asleep: TestClient, state: State):
    one, other = pair(asleep, state)
    settle(asleep, (one, other))
    assert carried(asleep, state, accuracy_of(one))
    state.records.close()  # before it has looked at the run

    again = state_of(state.settings)

    with TestClient(create_app(again), base_url=HERE) as client:
        until(lambda: len(shown(client, 1)["runs"]) == 3)
        until(lambda: carried(client, again, accuracy_of(one)) is None and shown(client, 1)["status"] == "decided")
        found = shown(client, 1)
        seeds = [(run["recipe_hash"], run["seed"]) for run in runs_of(client, found) if run["status"] == "succeeded"]
        assert seeds == [(one, 1), (other, 1), (one, 2), (other, 2)]
    again.records.close()


def test_a_server_that_is_stopped_and_started_takes_its_settles_up_again(site: Site, http: Any):
    one, other = pair(http, site.state)
    settle(http, (one, other), max_seeds=3)
    carried(http, site.state)
    site.stop()
    site.start()

    until(lambda: carried(http, site.state) is None and shown(http, 1)["status"] != "running", 30)
    found = shown(http, 1)
    assert (found["status"], found["n"], len(found["runs"])) == ("undecided", [3, 3], 4)


def runs_of(http: TestClient, found: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(http.get(f"/api/v1/runs/{run}").json()) for run in found["runs"]]
