"""A worker whose run is paused, killed, hung or taken over: what it hands in, and how the next attempt goes on."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from tests.app.support.cast import Hand, Site, launch, until
from tests.app.workers.worker_stage import QUICK, Cast, epochs_of, files_of, is_alive, log_of, pid_of, run_of, starts

MANY = 400  # epochs: more than any test waits for


def test_a_paused_run_frees_its_worker_and_goes_on_from_where_it_stopped(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id, other = launch(site.state, {"epochs": MANY}), launch(site.state, {"epochs": 5})
    cast = Cast(site, tmp_path, "careful").start()
    starts(http, run_id)
    http.post(f"/api/v1/runs/{run_id}/pause")
    cast.join()

    run = run_of(http, run_id)
    assert (run["status"], run["requested"], run["attempts"][0]["outcome"]) == ("paused", None, "paused")
    assert files_of(http, run_id)["checkpoint.safetensors"] == run["last_epoch"]
    Cast(site, tmp_path, "careful").start().join()
    assert run_of(http, other)["status"] == "succeeded"

    http.post(f"/api/v1/runs/{run_id}/resume")
    cast = Cast(site, tmp_path, "careful").start()
    until(lambda: run_of(http, run_id)["last_epoch"] > run["last_epoch"])
    http.post(f"/api/v1/runs/{run_id}/cancel")
    cast.join()
    assert epochs_of(http, run_id) == list(range(1, run_of(http, run_id)["last_epoch"] + 1))
    assert f"goes on after {run['last_epoch']}, known {run['last_epoch']}" in log_of(http, run_id)


def test_a_killed_child_s_run_goes_on_from_its_checkpoint_by_itself(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state, {"epochs": 6})
    Cast(site, tmp_path, "mortal").start().join()
    assert run_of(http, run_id)["status"] == "queued"
    Cast(site, tmp_path, "mortal").start().join()

    run = run_of(http, run_id)
    assert (run["status"], run["attempt"], run["failure"]) == ("succeeded", 2, None)
    assert [one["failure"] for one in run["attempts"]] == ["killed", None]
    assert epochs_of(http, run_id) == [1, 2, 3, 4, 5, 6]
    assert [row["attempt"] for row in http.get(f"/api/v1/runs/{run_id}/epochs").json()] == [1, 1, 2, 2, 2, 2]
    assert files_of(http, run_id) == {"checkpoint.safetensors": 6, "best.safetensors": 6}
    assert not list((tmp_path / "work").iterdir())  # the app has all of it


def test_a_hung_child_says_where_it_hangs_is_killed_and_its_run_goes_on(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state)
    Cast(site, tmp_path, "hang", timing=replace(QUICK, min_patience_s=0.5)).start().join()

    run = run_of(http, run_id)
    first = run["attempts"][0]
    assert (run["status"], first["failure"], first["exit_code"]) == ("queued", "hang", -signal.SIGUSR1)
    assert "No progress for" in first["reason"]


def test_a_worker_whose_device_is_gone_says_so_and_takes_no_run_until_it_is_back(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    gone = [True]
    run_id = launch(site.state)
    timing = replace(QUICK, trouble_s=0.1)
    cast = Cast(site, tmp_path, "no device", timing=timing, answers=lambda device: not gone).start()

    until(lambda: any(one["trouble"] for one in http.get("/api/v1/workers").json()))
    assert run_of(http, run_id)["status"] == "queued"
    assert "takes no runs: cpu no longer responds" in http.get("/").text
    gone.clear()
    cast.join()
    Hand(http, site.state).claim()
    assert http.get("/api/v1/workers").json()[0]["trouble"] is None


def test_a_worker_that_cannot_write_hands_its_run_back_and_takes_none_until_it_can(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    (tmp_path / "work").write_text("a file where its folder should be")
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, "good", timing=replace(QUICK, trouble_s=0.1)).start()

    until(lambda: any(one["trouble"] for one in http.get("/api/v1/workers").json()))
    run = run_of(http, run_id)
    assert (run["status"], run["attempts"][0]["outcome"]) == ("queued", "released")
    assert "cannot work in" in run["attempts"][0]["reason"]
    (tmp_path / "work").unlink()
    cast.join()
    Cast(site, tmp_path, "good").start().join()
    assert run_of(http, run_id)["status"] == "succeeded"


def test_cancelling_twice_kills_at_once(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, "deaf", timing=replace(QUICK, patience_s=60)).start()
    pid = pid_of(http, run_id)
    http.post(f"/api/v1/runs/{run_id}/cancel")
    time.sleep(0.5)
    assert is_alive(pid)
    http.post(f"/api/v1/runs/{run_id}/cancel")
    cast.join()

    assert (run_of(http, run_id)["status"], run_of(http, run_id)["forced"]) == ("cancelled", False)


def test_a_worker_that_is_told_twice_to_stop_does_not_wait(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state)
    cast = Cast(site, tmp_path, "deaf", timing=replace(QUICK, saving_patience_s=60)).start()
    pid_of(http, run_id)
    cast.worker.stop()
    cast.worker.stop()
    cast.join()

    assert (run_of(http, run_id)["status"], run_of(http, run_id)["attempts"][0]["outcome"]) == ("queued", "released")


def test_a_poisonous_run_is_given_up_after_three_deaths(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state)
    for _ in range(3):
        Cast(site, tmp_path, "die", "SIGSEGV").start().join()

    run = run_of(http, run_id)
    assert (run["status"], run["failure"], run["attempt"]) == ("failed", "killed", 3)
    assert "SIGSEGV" in run["reason"]
    assert not Hand(http, site.state).claim()
    assert "Trainer killed" in http.get(f"/runs/{run_id}").text


def test_a_child_that_was_killed_while_the_app_was_down_goes_on_when_it_is_back(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state, {"epochs": 40})
    cast = Cast(site, tmp_path, "careful").start()
    pid = int(starts(http, run_id)["attempts"][0]["started"]["environment"]["pid"])
    site.stop()
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    site.start()
    cast.join()
    Cast(site, tmp_path, "careful").start().join()

    assert (run_of(http, run_id)["status"], run_of(http, run_id)["attempt"]) == ("succeeded", 2)
    assert epochs_of(http, run_id) == list(range(1, 41))
