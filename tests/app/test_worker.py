"""The worker against a real server, with real child processes; only the training itself is left out (actor.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import trainer.worker
from app import run_queue
from tests.app.cast import NOW, Hand, Site, launch, site_in, until
from trainer.client import Client, NotYours, Refused, Unreachable
from trainer.spool import Batch
from trainer.worker import Worker

ACTOR = Path(__file__).with_name("actor.py")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same behaviour, sooner."""
    monkeypatch.setattr(trainer.worker, "BEAT_S", 0.1)
    monkeypatch.setattr(trainer.worker, "PATIENCE_S", 0.4)
    monkeypatch.setattr(trainer.worker, "LAST_WORDS_S", 1.0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / "app") as made:
        yield made


@pytest.fixture
def http(site: Site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site.url, timeout=20) as made:
        yield made


class Cast:
    """A worker in a thread whose children play the given part."""

    def __init__(self, site: Site, folder: Path, *part: str) -> None:
        command = (sys.executable, "-S", str(ACTOR), *part)
        self.client = Client(site.url, site.state.tokens.worker)
        self.worker = Worker(self.client, "cpu", folder, "ada", command)
        self.thread = threading.Thread(target=self.worker.once)

    def start(self) -> Cast:
        self.thread.start()
        return self

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.client.close()


def played(site: Site, folder: Path, *part: str, epochs: int = 3) -> int:
    """A run from its launch to its end; answers its id."""
    run_id = launch(site.state, {"epochs": epochs})
    Cast(site, folder, *part).start().join()
    return run_id


def run_of(http: httpx2.Client, run_id: int) -> dict[str, Any]:
    return dict(http.get(f"/api/v1/runs/{run_id}").json())


def epochs_of(http: httpx2.Client, run_id: int) -> list[int]:
    return [row["epoch"] for row in http.get(f"/api/v1/runs/{run_id}/epochs").json()]


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"


def pid_of(http: httpx2.Client, run_id: int) -> int:
    """Of the run's child, as soon as it has spoken."""

    def said() -> Any:
        attempts = run_of(http, run_id)["attempts"]
        return attempts and attempts[-1]["started"]

    return int(until(said)["environment"]["pid"])


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

    assert run["status"] == "failed"
    assert f"({name})" in run["reason"]
    assert run["attempts"][0]["exit_code"] == -getattr(signal, name)


def test_a_trainer_that_cannot_be_started_at_all_fails_the_run(site: Site, http: httpx2.Client, tmp_path: Path):
    run = run_of(http, played(site, tmp_path, "no such part", "x"))
    assert run["status"] == "succeeded"  # the actor knows no such part and ends well

    other = launch(site.state)
    cast = Cast(site, tmp_path)
    cast.worker._trainer = (sys.executable, "-c", "raise SystemExit(2)")
    cast.start().join()
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
        run_queue.rescue(session, [(run_id, 1)], NOW)
        taken = run_queue.claim(session, run_queue.WhoClaims("bob", "cpu", ["tensorflow"]), NOW)
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


def test_a_log_that_is_no_utf_8_and_has_endless_lines_is_kept_readable(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "broken")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert run_of(http, run_id)["status"] == "succeeded"
    assert log.startswith("größer \ufffd\ufffd\ufffd \ufffd")
    assert "\nnext\n" in log
    assert log.endswith("x\nafter the long line\n")
    assert log.count("x") == 3_000_001  # one is in "next"
    assert http.get(f"/runs/{run_id}").status_code == 200


def test_a_log_of_ten_mebibytes_is_cut_and_says_so(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "flood")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert run_of(http, run_id)["status"] == "succeeded"
    assert 8 * 2**20 <= len(log) < 8 * 2**20 + 200_000
    assert log.endswith("… the log is cut here, at 8 MiB\n")


def test_garbage_among_the_events_goes_to_the_log(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "garbage")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert (run_of(http, run_id)["status"], epochs_of(http, run_id)) == ("succeeded", [1])
    for words in ("a library wrote this", "[1, 2", "\ufffd\ufffd"):
        assert words in log


def test_an_event_that_the_app_cannot_read_does_not_lose_those_after_it(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = played(site, tmp_path, "poison")

    assert (run_of(http, run_id)["status"], epochs_of(http, run_id)) == ("succeeded", [1])


# the client


def test_the_client_tells_its_three_troubles_apart(site: Site):
    client = Client(site.url, site.state.tokens.worker)
    stranger = Client(site.url, "another token")
    nobody = Client("http://127.0.0.1:9", "x")
    run_id = launch(site.state)
    claim = client.claim("ada", "cpu", ["tensorflow"], wait_s=0)
    assert claim is not None
    assert (claim.run, claim.attempt, claim.recipe["epochs"]) == (run_id, 1, 4)

    client.finish(claim, "succeeded", 0, None)

    with pytest.raises(NotYours):
        client.beat(claim)
    with pytest.raises(Refused):
        client.report(claim, Batch(-1, [], 0, ""))
    with pytest.raises(Refused):
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
