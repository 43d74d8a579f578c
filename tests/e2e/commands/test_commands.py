"""`python -m app …` and the worker as commands: what they print, refuse and leave behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.support.processes import ROOT, Site, free_port, until


def command(*arguments: str, data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PITWALL_DATA_DIR": str(data_dir), "PITWALL_QUICKSTART": "0", **settings}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_login_token_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = command("app", "token", data_dir=tmp_path)
    second = command("app", "token", data_dir=tmp_path)

    assert first.returncode == 0 and len(first.stdout.strip()) > 30
    assert first.stdout == second.stdout
    assert stat.S_IMODE((tmp_path / "login-token").stat().st_mode) == 0o600


def test_listening_beyond_loopback_without_a_token_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = command("app", "serve", data_dir=tmp_path, PITWALL_HOST="0.0.0.0", PITWALL_PORT=str(free_port()))

    assert done.returncode == 1
    assert "needs a login token" in done.stderr and "python -m app token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = command("app", "serve", data_dir=tmp_path, PITWALL_PORT="many")

    assert done.returncode == 1 and "PITWALL_PORT" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["serve", "up"])
def test_a_second_server_on_the_same_database_is_refused(site: Site, verb: str) -> None:
    site.serve()

    done = command("app", verb, data_dir=site.data_dir, PITWALL_PORT=str(free_port()), PITWALL_WORKERS="none")

    assert done.returncode == 1
    assert "another Pitwall serves" in done.stderr and "Traceback" not in done.stderr
    assert site.get("/readyz")["status"] == "ok"


def test_a_port_in_use_ends_up_instead_of_trying_for_ever(site: Site, tmp_path: Path) -> None:
    site.serve()

    done = command("app", "up", data_dir=tmp_path / "other", PITWALL_PORT=str(site.port), PITWALL_WORKERS="none")

    assert done.returncode == 1 and "address already in use" in done.stderr


def test_a_worker_with_a_wrong_token_says_so_and_ends(site: Site, tmp_path: Path) -> None:
    site.serve()
    (tmp_path / "wrong").write_text("not-the-token\n")

    done = command("trainer.worker", "--server", site.url, "--token-file", str(tmp_path / "wrong"), data_dir=tmp_path)

    assert done.returncode == 1
    assert "refuses this worker: 401" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.keras
def test_a_worker_that_is_told_to_stop_hands_its_run_back(site: Site) -> None:
    site.serve()
    worker = site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": 300})
    until(lambda: site.run(run_id)["status"] == "running", 90, "it runs")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    run = site.run(run_id)
    assert run["status"] == "queued" and run["attempts"][0]["outcome"] == "released"


@pytest.mark.keras
def test_a_cancelled_run_stops_within_seconds_and_frees_the_worker(site: Site) -> None:
    site.serve()
    site.work()
    run_id = site.launch(preset="quickstart", recipe={"epochs": 300})
    until(lambda: site.run(run_id)["last_epoch"] >= 1, 90, "it trains")

    site.post(f"/api/v1/runs/{run_id}/cancel")
    run = site.wait_for(run_id, "cancelled", seconds=10)

    assert run["attempts"][0]["outcome"] == "cancelled" and run["ended_at"]
    until(lambda: site.get("/api/v1/workers")[0]["run"] is None, 5, "the worker is free")
