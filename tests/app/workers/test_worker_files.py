"""A run's files on their way: handed in, fetched, kept for whoever has newer ones on their disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.runs import runs
from app.timing import Timing
from tests.app.support.cast import Hand, Site, launch, site_in, until
from tests.app.workers.worker_stage import QUICK, Cast, files_of, log_of, run_of, starts
from trainer.worker.client import Claim, Client, Unreachable
from trainer.worker.uploads import Uploads
from trainer.worker.workspace import Workspace

MANY = 400  # epochs: more than any test waits for


def trail_of(site: Site, run_id: int) -> str:
    with site.state.records.read() as session:
        return runs.find(session, run_id).trail


def test_another_worker_goes_on_from_what_was_handed_in(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state, {"epochs": MANY})
    cast = Cast(site, tmp_path / "ada", "careful").start()
    starts(http, run_id)
    cast.worker.stop()
    cast.join()
    stood = run_of(http, run_id)
    assert (stood["status"], stood["attempts"][0]["outcome"], stood["kept_for"]) == ("queued", "released", None)

    other = Cast(site, tmp_path / "bob", "careful")
    other.worker.name = "bob"
    other.start()
    until(lambda: run_of(http, run_id)["last_epoch"] > stood["last_epoch"])
    other.worker.stop()
    other.join()
    assert f"goes on after {stood['last_epoch']}" in log_of(http, run_id)
    assert [one["worker"] for one in run_of(http, run_id)["attempts"]] == ["ada", "bob"]


@pytest.fixture
def holder_first_site(tmp_path: Path) -> Iterator[Site]:
    """An app that keeps a run for the holder of its newest checkpoint for a short time."""
    assert Timing().checkpoint_holder_first_s == 15.0
    with site_in(tmp_path / "app", Timing(checkpoint_holder_first_s=2.0)) as site:
        yield site


def test_a_run_is_kept_for_the_worker_with_its_newest_checkpoint_but_not_for_ever(holder_first_site: Site):
    site = holder_first_site
    http = httpx2.Client(base_url=site.url, timeout=20)
    run_id = launch(site.state)
    hand = Hand(http, site.state)
    assert hand.claim()
    hand.say({"event": "checkpoint", "epoch": 1})
    hand.finish("released")

    other = Hand(http, site.state, "bob")
    assert not other.claim()
    asked = time.monotonic()
    client = Client(site.url, site.state.tokens.worker)
    claim = client.claim("bob", "cpu", ["tensorflow"], wait_s=10)
    client.close()
    http.close()
    assert claim is not None
    assert (claim.run, claim.attempt) == (run_id, 2)
    assert 1.0 < time.monotonic() - asked < 6.0


def test_checkpoints_are_handed_in_now_and_then_while_a_run_trains(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = launch(site.state, {"epochs": MANY})
    cast = Cast(site, tmp_path, "careful", timing=replace(QUICK, upload_every_s=0.3)).start()
    first = until(lambda: files_of(http, run_id).get("checkpoint.safetensors"))
    until(lambda: files_of(http, run_id)["checkpoint.safetensors"] > first)
    assert run_of(http, run_id)["status"] == "running"
    cast.worker.stop()
    cast.join()


def test_an_app_that_is_away_while_a_checkpoint_is_fetched_does_not_send_the_run_back_to_its_beginning(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state, {"epochs": MANY})
    cast = Cast(site, tmp_path / "ada", "careful").start()
    starts(http, run_id)
    cast.worker.stop()
    cast.join()
    stood = run_of(http, run_id)["last_epoch"]

    tries: list[int] = []

    class Flaky(Client):
        """Its first two requests for a checkpoint meet an app that restarts."""

        def fetch_checkpoint(self, *arguments: Any) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise Unreachable("the app restarts")
            super().fetch_checkpoint(*arguments)

    other = Cast(site, tmp_path / "bob", "careful", client=Flaky).start()
    until(lambda: run_of(http, run_id)["last_epoch"] > stood)
    other.worker.stop()
    other.join()

    assert len(tries) == 3
    assert f"goes on after {stood}" in log_of(http, run_id)


def test_older_best_weights_on_a_worker_s_disk_do_not_replace_newer_ones(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = launch(site.state, {"epochs": MANY})
    cast = Cast(site, tmp_path / "ada", "careful").start()
    starts(http, run_id)
    cast.worker.stop()
    cast.join()
    for path in (tmp_path / "ada" / "work").glob("*/1/best.safetensors"):
        old = path.read_bytes()
    cast = Cast(site, tmp_path / "bob", "careful").start()
    best = files_of(http, run_id)["best.safetensors"]
    until(lambda: run_of(http, run_id)["last_epoch"] > best + 2)
    cast.worker.stop()
    cast.join()
    newer = files_of(http, run_id)["best.safetensors"]
    assert newer > best

    work = Workspace(tmp_path / "ada" / "work", run_id, trail_of(site, run_id), 1)
    assert (work.folder / "best.safetensors").read_bytes() == old
    hand = Hand(http, site.state)
    assert hand.claim()
    client = Client(site.url, site.state.tokens.worker)
    claim = Claim(run_id, hand.attempt, {}, "", None, None)
    stale = Workspace(tmp_path / "ada" / "work", run_id, trail_of(site, run_id), 1)
    (stale.folder / f"checkpoint-{newer:05d}-000000.safetensors").write_bytes(
        next((tmp_path / "bob").glob(f"work/*/2/checkpoint-{newer:05d}-*")).read_bytes()
    )
    assert Uploads(client, claim, stale).upload_rest(lambda: None)
    client.close()
    assert files_of(http, run_id)["best.safetensors"] == newer
