"""Bulk actions on runs."""

from __future__ import annotations

import shutil

import pytest
from fastapi.testclient import TestClient

from app.errors import InvalidRequest
from app.records import files
from app.run_list import bulk
from app.web.deps import State
from tests.app.support.cast import claim, launch, trained


def status(http: TestClient, run_id: int) -> str:
    return str(http.get(f"/api/v1/runs/{run_id}").json()["status"])


def test_cancel_pause_and_resume_act_on_each_run_and_report_refusals(client: TestClient, state: State):
    ended, first, second = trained(client, state), launch(state), launch(state)

    paused = bulk.apply_to_runs(state, "pause", [first, second, first, ended])
    assert (paused.done, list(paused.refused)) == ([first, second], [ended])
    assert status(client, first) == status(client, second) == "paused"
    assert bulk.apply_to_runs(state, "resume", [second]).done == [second]
    assert bulk.apply_to_runs(state, "cancel", [first, second]).done == [first, second]
    assert status(client, second) == "cancelled"


def test_tags_are_added_once_and_removed(client: TestClient, state: State):
    one, other = launch(state, tags=["a"]), launch(state, tags=[f"t{number}" for number in range(20)])

    done = bulk.apply_to_runs(state, "tag", [one, other], "b")
    assert done.done == [one] and "20 tags" in done.refused[other]
    bulk.apply_to_runs(state, "tag", [one], "a")
    assert client.get(f"/api/v1/runs/{one}").json()["tags"] == ["b", "a"]
    bulk.apply_to_runs(state, "untag", [one, other], "a")
    assert client.get(f"/api/v1/runs/{one}").json()["tags"] == ["b"]
    with pytest.raises(InvalidRequest, match="tag"):
        bulk.apply_to_runs(state, "tag", [one])


def test_deleted_runs_leave_no_files_and_held_ones_stay(client: TestClient, state: State):
    ended = trained(client, state)
    held = launch(state)
    assert claim(state) == (held, 1)
    log = files.log_path(state.settings.data_dir, ended, 1)
    assert log.exists()

    done = bulk.apply_to_runs(state, "delete", [ended, held, 999])
    assert (done.done, set(done.refused)) == ([ended], {held, 999})
    assert not log.exists() and client.get(f"/api/v1/runs/{ended}").status_code == 404


def test_clones_have_the_same_recipe_and_remember_where_they_come_from(client: TestClient, state: State):
    runs = [launch(state, {"seed": seed}, name=f"run {seed}", tags=["t"]) for seed in range(2)]

    made = bulk.apply_to_runs(state, "clone", runs).made
    shown = [client.get(f"/api/v1/runs/{run_id}").json() for run_id in made]
    assert [(run["parent_id"], run["seed"], run["tags"], run["status"]) for run in shown] == [
        (runs[0], 0, ["t"], "queued"),
        (runs[1], 1, ["t"], "queued"),
    ]


def test_a_clone_that_fails_is_reported_and_the_others_are_launched(client: TestClient, state: State):
    folder = state.settings.datasets_dir / "mine"
    for part in ("train/a", "train/b", "test/a", "test/b"):
        (folder / part).mkdir(parents=True)
        (folder / part / "x.png").touch()
    lost, good = launch(state, {"dataset": {"name": "folder:mine"}}), launch(state)
    shutil.rmtree(folder)

    done = bulk.apply_to_runs(state, "clone", [lost, good])
    assert done.done == [good] and len(done.made) == 1
    assert "no data set at" in done.refused[lost]


def test_more_than_a_thousand_runs_are_refused(state: State):
    with pytest.raises(InvalidRequest, match="at most 1000"):
        bulk.apply_to_runs(state, "cancel", range(1, 1002))
