"""The web process dies and comes back while a run trains: nothing is lost, nothing is doubled, the page goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.processes import ROOT, Site, free_port, until

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
    expect(page.locator("main .badge").first).to_have_text("Succeeded")
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    points = "document.querySelector('[data-chart=loss] .plot').data[0].x"
    assert page.evaluate(points) == list(range(1, EPOCHS + 1))


def test_a_killed_child_is_told_on_its_run(site: Site) -> None:
    site.serve()
    worker = site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": 500})
    until(lambda: len(site.get(f"/api/v1/runs/{run_id}/epochs")) >= 1, 120, "an epoch is stored")

    child = next(one for one in psutil.Process(worker.pid).children() if "trainer" in " ".join(one.cmdline()))
    child.send_signal(signal.SIGKILL)
    run = site.wait_for(run_id, "failed")

    assert run["reason"].startswith("The trainer was killed by signal 9 (SIGKILL)")
    assert run["attempts"][0]["exit_code"] == -9
    page = subprocess.run(
        ["curl", "-s", f"{site.url}/runs/{run_id}"], capture_output=True, text=True, check=True
    ).stdout
    assert "killed by signal 9 (SIGKILL)" in page and "epoch   1" in page


def test_a_killed_worker_takes_its_child_along_and_its_run_is_done_by_the_next(site: Site) -> None:
    site.serve()
    worker = site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": 3})
    until(lambda: site.run(run_id)["status"] == "running", 120, "it runs")
    children = psutil.Process(worker.pid).children(recursive=True)
    assert children

    worker.kill()
    worker.wait()
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    run = site.wait_for(run_id, "queued", seconds=20)
    assert run["attempts"][0]["outcome"] == "lost"
    site.work()
    run = site.wait_for(run_id, "succeeded", "failed")

    assert run["status"] == "succeeded" and run["attempt"] == 2
    epochs = site.get(f"/api/v1/runs/{run_id}/epochs")
    assert [(row["epoch"], row["attempt"]) for row in epochs] == [(1, 2), (2, 2), (3, 2)]


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
