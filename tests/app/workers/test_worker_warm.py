"""A worker that keeps a child warm, against a real server: the second run starts in it, and a stop leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.app.support.cast import Site, launch, until
from tests.app.workers.worker_stage import is_alive, run_of
from trainer.worker.client import Client

ROOT = Path(__file__).parents[3]
RECIPE: dict[str, Any] = {"dataset": {"name": "digits", "train_limit": 100, "val_limit": 20}, "model": {"width": 2}}
RECIPE |= {"augment": [{"op": "cutout", "p": 0.5}], "epochs": 2}
Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(site: Site, tmp_path: Path) -> Iterator[Begin]:
    """Starts workers whose children are light, as `python -m trainer.worker` with further arguments."""
    begun: list[subprocess.Popen[str]] = []

    def start(*more: str, **settings: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.chaos.light_worker", "--server", site.url, "--device", "cpu"]
        command += ["--token-file", str(site.state.settings.worker_token_file), "--data-dir", str(tmp_path), *more]
        process = subprocess.Popen(
            [*command, "--parent", str(os.getpid())],
            cwd=ROOT, env=os.environ | settings, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def waiting(worker: subprocess.Popen[str]) -> psutil.Process | None:
    """The child that gets ready for a run or waits for it."""
    children = psutil.Process(worker.pid).children()
    return next((one for one in children if one.status() != psutil.STATUS_ZOMBIE and "--wait" in one.cmdline()), None)


def trained(site: Site, http: httpx2.Client, **changes: Any) -> dict[str, Any]:
    """What the child of a new run said at its start, once the run has succeeded."""
    run_id = launch(site.state, RECIPE | changes)
    until(lambda: run_of(http, run_id)["status"] in {"succeeded", "failed"}, 60)
    run = run_of(http, run_id)
    assert run["status"] == "succeeded", run
    return dict(run["attempts"][0]["started"])


def test_the_second_run_starts_in_a_warm_child_and_a_stop_leaves_no_process(
    site: Site, http: httpx2.Client, begin: Begin
):
    worker = begin()
    first = trained(site, http)
    until(lambda: waiting(worker), 30)
    second = trained(site, http, seed=5)
    assert [one["is_warm"] for one in (first, second)] == [False, True]
    child = until(lambda: waiting(worker), 30)

    worker.terminate()

    assert worker.wait(20) == 0
    assert not is_alive(child.pid)
    assert worker.stderr is not None
    assert "warm children: 1 used, 0 discarded, 0 died" in worker.stderr.read()


def test_a_run_that_is_queued_is_not_kept_waiting_for_a_child_to_get_ready(
    site: Site, http: httpx2.Client, begin: Begin
):
    runs = [launch(site.state, RECIPE | {"seed": seed}) for seed in (1, 2)]
    begin()
    until(lambda: all(run_of(http, one)["status"] == "succeeded" for one in runs), 60)

    ready = [run_of(http, one)["attempts"][0]["started"]["is_warm"] for one in runs]
    assert ready == [False, len(os.sched_getaffinity(0)) >= 4]


def test_a_waiting_child_that_is_killed_costs_no_attempt(site: Site, http: httpx2.Client, begin: Begin):
    worker = begin()
    trained(site, http)
    until(lambda: waiting(worker), 30).kill()

    assert not trained(site, http)["is_warm"]
    worker.terminate()
    assert worker.wait(20) == 0
    assert worker.stderr is not None
    assert "0 used, 0 discarded, 1 died" in worker.stderr.read()


def test_a_waiting_child_dies_with_its_worker(site: Site, http: httpx2.Client, begin: Begin):
    worker = begin()
    trained(site, http)
    child = until(lambda: waiting(worker), 30)
    worker.send_signal(signal.SIGKILL)

    until(lambda: not is_alive(child.pid))


@pytest.mark.parametrize(("more", "settings"), [(["--no-warm"], {}), ([], {"PITWALL_WARM": "0"})], ids=["flag", "set"])
def test_a_worker_that_shall_not_keeps_no_child(
    site: Site, http: httpx2.Client, begin: Begin, more: list[str], settings: dict[str, str]
):
    begin(*more, **settings)
    ready = [trained(site, http)["is_warm"] for _ in range(2)]

    assert ready == [False, False]


def test_a_claim_hears_which_recipe_would_come_next_for_this_worker(site: Site):
    launch(site.state, {"epochs": 3})
    launch(site.state, {"epochs": 5})
    launch(site.state, {"epochs": 7}, priority=1)
    client = Client(site.url, site.state.tokens.worker)
    heard = []
    for _ in range(3):
        claim = client.claim("ada", "cpu", ["tensorflow"], wait_s=0)
        assert claim is not None
        heard.append((claim.recipe["epochs"], claim.next and claim.next["epochs"]))
    client.close()

    assert heard == [(7, 3), (3, 5), (5, None)]
