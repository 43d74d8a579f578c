"""The web process dies and comes back while a run trains: nothing is lost, nothing is doubled, the page goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import safetensors.numpy
from playwright.sync_api import Page, expect

from tests.e2e.support.processes import ROOT, Site, free_port, until

pytestmark = [pytest.mark.keras, pytest.mark.timeout(280)]

EPOCHS = 8


@pytest.mark.browser
def test_the_web_process_is_killed_in_mid_run_and_no_epoch_is_lost_or_doubled(site: Site, page: Page) -> None:
    web = site.serve()
    site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": EPOCHS})
    page.goto(f"{site.url}/runs/{run_id}")
    drawn = "Number(document.documentElement.dataset.drawnEpoch)"
    until(lambda: page.evaluate(drawn) >= 2, 120, "two epochs are drawn")
    page.evaluate("window.sameDocument = true")

    page.watched.forgive = True  # type: ignore[attr-defined]  # the connection is broken on purpose
    web.kill()
    web.wait()
    time.sleep(3)  # at least one epoch ends with nobody to hear it
    site.serve()
    run = site.wait_for(run_id, "succeeded", "failed", "cancelled")

    assert run["status"] == "succeeded" and run["attempt"] == 1
    epochs = site.get(f"/api/v1/runs/{run_id}/epochs")
    assert [row["epoch"] for row in epochs] == list(range(1, EPOCHS + 1))
    assert {row["attempt"] for row in epochs} == {1}
    until(lambda: page.evaluate(drawn) == EPOCHS, 20, "the same chart shows every epoch")
    expect(page.locator("main .badge").first).to_have_text("Finished")
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    points = "document.querySelector('[data-chart=accuracy] .plot').data[0].x"
    assert page.evaluate(points) == list(range(1, EPOCHS + 1))


@pytest.mark.thorough  # the chaos run does it, too
def test_a_killed_child_s_run_goes_on_from_its_checkpoint_with_the_same_numbers(site: Site) -> None:
    site.serve()
    worker = site.work()
    undisturbed = site.launch(preset="quickstart", recipe={"epochs": 4})
    assert site.wait_for(undisturbed, "succeeded", "failed")["status"] == "succeeded"
    run_id = site.launch(preset="quickstart", recipe={"epochs": 4})
    until(lambda: (site.run(run_id)["attempts"] or [{}])[-1].get("checkpoint_epoch"), 120, "a checkpoint is made")

    child = next(one for one in psutil.Process(worker.pid).children() if "trainer" in " ".join(one.cmdline()))
    child.send_signal(signal.SIGKILL)
    run = site.wait_for(run_id, "succeeded", "failed")

    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    first, second = run["attempts"]
    assert (first["outcome"], first["failure"], first["exit_code"]) == ("failed", "killed", -9)
    assert second["resumed_from_epoch"] >= 1 and second["started"]["differs"] == []
    assert numbers(site, run_id) == numbers(site, undisturbed)
    assert weights(site, run_id) == weights(site, undisturbed)


@pytest.mark.browser
def test_a_killed_worker_is_shown_within_ten_seconds_and_the_same_chart_goes_on(site: Site, page: Page) -> None:
    site.serve()
    worker = site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": EPOCHS})
    page.goto(f"{site.url}/runs/{run_id}")
    drawn = "Number(document.documentElement.dataset.drawnEpoch)"
    until(lambda: page.evaluate(drawn) >= 2, 120, "two epochs are drawn")
    page.evaluate("window.sameDocument = true")
    children = psutil.Process(worker.pid).children(recursive=True)
    assert children

    worker.kill()
    worker.wait()
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    expect(page.get_by_text("Worker not responding.")).to_be_visible(timeout=10_000)
    expect(page.get_by_text("Worker lost.")).to_be_visible(timeout=6_000)
    run = site.run(run_id)
    assert run["status"] == "queued" and run["attempts"][0]["outcome"] == "lost"

    site.work()
    run = site.wait_for(run_id, "succeeded", "failed")
    assert run["status"] == "succeeded" and run["attempt"] == 2
    assert run["attempts"][1]["resumed_from_epoch"] >= 1
    epochs = site.get(f"/api/v1/runs/{run_id}/epochs")
    assert [row["epoch"] for row in epochs] == list(range(1, EPOCHS + 1))
    assert {row["attempt"] for row in epochs} == {1, 2}
    until(lambda: page.evaluate(drawn) == EPOCHS, 20, "the same chart shows every epoch")
    points = "document.querySelector('[data-chart=accuracy] .plot').data[0].x"
    assert page.evaluate(points) == list(range(1, EPOCHS + 1))
    assert page.evaluate("window.sameDocument"), "the page was loaded again"


@pytest.mark.browser
def test_a_run_is_paused_resumed_and_cancelled_by_its_buttons(site: Site, page: Page) -> None:
    site.serve()
    site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": 300})
    page.goto(f"{site.url}/runs/{run_id}")
    until(lambda: site.run(run_id)["last_epoch"] >= 1, 120, "it trains")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("main .badge").first).to_have_text("Paused", timeout=20_000)
    stood = site.run(run_id)
    assert stood["artifacts"] and site.get("/api/v1/workers")[0]["run"] is None
    page.get_by_role("button", name="Resume").click()
    until(lambda: site.run(run_id)["last_epoch"] > stood["last_epoch"], 120, "it goes on")
    again = site.run(run_id)["attempts"][1]["started"]
    assert again["resumed_from_epoch"] == stood["last_epoch"]

    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("main .badge").first).to_have_text("Cancelled", timeout=20_000)
    page.get_by_role("button", name="Retry from checkpoint").click()
    site.wait_for(run_id, "starting", "running")
    site.post(f"/api/v1/runs/{run_id}/cancel")
    site.wait_for(run_id, "cancelled", seconds=20)


def weights(site: Site, run_id: int) -> dict[str, bytes]:
    """The arrays of its last checkpoint: weights, momenta, counters."""
    address = f"{site.url}/api/v1/runs/{run_id}/artifacts/checkpoint.safetensors"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return {name: array.tobytes() for name, array in safetensors.numpy.load(answer.read()).items()}


def numbers(site: Site, run_id: int) -> list[list[float]]:
    """What a run learned, without what it took."""
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "penalty")
    return [[row[name] for name in names] for row in site.get(f"/api/v1/runs/{run_id}/epochs")]


def test_one_command_starts_all_and_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    port, data_dir = free_port(), tmp_path / "data"
    environment = os.environ | {"PITWALL_DATA_DIR": str(data_dir), "PITWALL_PORT": str(port)}
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "app", "up"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    api = f"http://127.0.0.1:{port}/api/v1/runs/1"

    def quickstart() -> dict:
        answer = subprocess.run(["curl", "-s", api], capture_output=True, text=True, check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    until(lambda: quickstart().get("last_epoch", 0) >= 1, 120, "the quickstart's first epoch is there")
    everything = psutil.Process(up.pid).children(recursive=True)
    assert len(everything) >= 3, "a web process, a worker and its child"

    up.send_signal(signal.SIGINT)
    assert up.wait(40) == 0

    gone, alive = psutil.wait_procs(everything, timeout=3)
    assert not alive and len(gone) >= 3
    assert f"http://127.0.0.1:{port}" in (tmp_path / "up.log").read_text()
