"""A worker's way to the app: its troubles told apart, waiting, and an end at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.app.support.cast import Site, launch, until
from trainer.protocol import Ending
from trainer.worker.client import Client, Denied, LeaseLost, Unreachable, Unreadable
from trainer.worker.spool import Batch
from trainer.worker.worker import Worker

ROOT = Path(__file__).parents[3]


def test_the_client_tells_its_troubles_apart(site: Site):
    client = Client(site.url, site.state.tokens.worker)
    stranger = Client(site.url, "another token")
    nobody = Client("http://127.0.0.1:9", "x")
    run_id = launch(site.state)
    claim = client.claim("ada", "cpu", ["tensorflow"], wait_s=0)
    assert claim is not None
    assert (claim.run, claim.attempt, claim.recipe["epochs"]) == (run_id, 1, 4)

    client.finish(claim, Ending("succeeded", 0))

    with pytest.raises(LeaseLost):
        client.beat(claim)
    with pytest.raises(Unreadable):
        client.report(claim, Batch(-1, [], 0, ""))
    with pytest.raises(Denied):
        stranger.beat(claim)
    with pytest.raises(Unreachable):
        nobody.beat(claim)
    assert client.claim("ada", "cpu", ["tensorflow"], wait_s=0) is None
    for one in (client, stranger, nobody):
        one.close()


def test_a_worker_waits_while_the_app_cannot_be_reached(tmp_path: Path):
    client = Client("http://127.0.0.1:9", "x")

    assert Worker(client, "cpu", tmp_path, "ada").once() is False
    client.close()


def test_a_worker_process_that_waits_ends_at_once_on_sigterm(site: Site, http: httpx2.Client, tmp_path: Path):
    command = [sys.executable, "-m", "trainer.worker", "--server", site.url, "--device", "cpu", "--name", "ada"]
    command += ["--token-file", str(site.state.settings.worker_token_file), "--data-dir", str(tmp_path)]
    process = subprocess.Popen([*command, "--parent", str(os.getpid())], cwd=ROOT, stderr=subprocess.DEVNULL)
    until(lambda: [one["present"] for one in http.get("/api/v1/workers").json()] == [True])
    began = time.monotonic()
    process.terminate()

    assert process.wait(20) == 0
    assert time.monotonic() - began < 5
