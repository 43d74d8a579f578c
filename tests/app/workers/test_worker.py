"""The worker against a real server, with real child processes; only the training itself is left out (actor.py)."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import httpx2
import pytest

from app.workers import queue
from tests.app.support.cast import NOW, Hand, Site, launch, until
from tests.app.workers.worker_stage import Cast, epochs_of, is_alive, pid_of, played, run_of


def test_a_run_is_claimed_reported_and_finished(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "good", epochs=30)

    run = run_of(http, run_id)
    assert (run["status"], run["last_epoch"], run["reason"]) == ("succeeded", 30, None)
    assert epochs_of(http, run_id) == list(range(1, 31))
    assert [(one["worker"], one["outcome"], one["exit_code"]) for one in run["attempts"]] == [("ada", "succeeded", 0)]
    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert log == "".join(f"epoch {number}\n" for number in range(1, 31))


def test_a_child_gets_its_device_and_none_of_our_settings(
    site: Site, http: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PITWALL_TOKEN", "a secret")
    run_id = played(site, tmp_path, "good")

    environment = run_of(http, run_id)["attempts"][0]["started"]["environment"]
    assert (environment["device"], environment["settings"]) == ("-1", [])


def test_a_crash_is_told_with_its_exit_code_and_last_words(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "crash")

    run = run_of(http, run_id)
    assert (run["status"], run["reason"]) == ("failed", "The trainer ended with exit code 3.")
    assert run["attempts"][0]["exit_code"] == 3
    assert "the last words" in http.get(f"/runs/{run_id}").text


def test_what_the_child_says_of_its_failure_comes_first(site: Site, http: httpx2.Client, tmp_path: Path):
    run = run_of(http, played(site, tmp_path, "diverge"))

    assert (run["status"], run["reason"], run["hint"]) == ("failed", "The loss is not a number.", "Lower max_lr.")
    assert run["attempts"][0]["reason"] == "The trainer ended with exit code 1."


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT", "SIGTERM"])
def test_a_child_that_a_signal_killed_is_told_in_words(site: Site, http: httpx2.Client, tmp_path: Path, name: str):
    run = run_of(http, played(site, tmp_path, "die", name))

    first = run["attempts"][0]
    assert (run["status"], run["failure"]) == ("queued", None)  # it may not be the run's own fault
    assert (first["outcome"], first["failure"], first["exit_code"]) == ("failed", "killed", -getattr(signal, name))
    assert f"({name})" in first["reason"]


def test_a_trainer_that_cannot_be_started_at_all_fails_the_run(site: Site, http: httpx2.Client, tmp_path: Path):
    run = run_of(http, played(site, tmp_path, "no such part", "x"))
    assert run["status"] == "succeeded"  # the actor knows no such part and ends well

    other = launch(site.state)
    Cast(site, tmp_path, command=(sys.executable, "-c", "raise SystemExit(2)")).start().join()
    assert (run_of(http, other)["status"], run_of(http, other)["attempts"][0]["exit_code"]) == ("failed", 2)


@pytest.mark.parametrize(("part", "exit_code"), [("polite", 75), ("deaf", -signal.SIGKILL)])
def test_cancelling_stops_a_child_that_listens_and_one_that_is_deaf(
    site: Site, http: httpx2.Client, tmp_path: Path, part: str, exit_code: int
):
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, part).start()
    pid = pid_of(http, run_id)
    http.post(f"/api/v1/runs/{run_id}/cancel")
    cast.join()

    run = run_of(http, run_id)
    assert (run["status"], run["attempts"][0]["exit_code"]) == ("cancelled", exit_code)
    assert not is_alive(pid)


@pytest.mark.parametrize("part", ["polite", "deaf"])
def test_a_worker_that_is_told_to_stop_hands_its_run_back(site: Site, http: httpx2.Client, tmp_path: Path, part: str):
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, part).start()
    pid = pid_of(http, run_id)
    cast.worker.stop()
    cast.join()

    run = run_of(http, run_id)
    assert (run["status"], run["attempts"][0]["outcome"]) == ("queued", "released")
    assert not is_alive(pid)
    assert Hand(http, site.state, "bob").claim()


def test_a_worker_that_lost_its_run_kills_its_child_and_says_nothing_more(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, "deaf").start()
    pid = pid_of(http, run_id)
    with site.state.records.write() as session:
        queue.rescue(session, [(run_id, 1)], NOW)
        taken = queue.claim(session, queue.ClaimingWorker("bob", "cpu", ["tensorflow"]), NOW)
    cast.join()

    run = run_of(http, run_id)
    assert taken is not None
    assert not is_alive(pid)
    assert (run["status"], run["attempt"]) == ("starting", 2)
    assert [one["outcome"] for one in run["attempts"]] == ["lost", None]


def test_while_the_app_is_down_a_run_goes_on_and_nothing_is_lost_or_doubled(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state, {"epochs": 60})
    cast = Cast(site, tmp_path, "slow").start()
    until(lambda: run_of(http, run_id)["last_epoch"] >= 5)
    site.stop()
    time.sleep(1.0)
    site.start()
    cast.join()

    run = run_of(http, run_id)
    assert (run["status"], run["attempt"], run["last_epoch"]) == ("succeeded", 1, 60)
    assert epochs_of(http, run_id) == list(range(1, 61))
    assert http.get(f"/api/v1/runs/{run_id}/log").text == "".join(f"epoch {number}\n" for number in range(1, 61))


def test_a_run_that_ends_while_the_app_is_down_is_finished_when_it_is_back(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state, {"epochs": 10})
    cast = Cast(site, tmp_path, "slow").start()
    pid = pid_of(http, run_id)
    site.stop()
    until(lambda: not is_alive(pid))
    site.start()
    cast.join()

    assert run_of(http, run_id)["status"] == "succeeded"
    assert epochs_of(http, run_id) == list(range(1, 11))
