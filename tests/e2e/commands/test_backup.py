"""`python -m app backup` and `restore` beside a real server, and killed by strace at each of their file operations."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pysqlite3
import pytest

from tests.app.support.cast import epoch, started
from tests.e2e.commands.test_commands import command
from tests.e2e.support.processes import ROOT, Site, until

CLIENTS = 4
PAUSE_S = 0.01  # between a client's reports, so that what is tested gets some of the processor, too
# Each of these can leave the folder in another state. Of the many writes every 12th is tried.
CALLS = {"rename": 1, "unlink": 1, "fsync": 1, "ftruncate": 1, "pwrite64": 12}

# Loads the app once and forks for each trial; a child waits until strace holds it, then does the work.
TRIALS = """
import ctypes, json, os, shutil, subprocess, sys, time
from datetime import UTC, datetime
from pathlib import Path
from app.cli.backup import back_up
from app.records.database import Records
from app.cli.restore import restore
from app.settings import Settings

verb, template, backup, trials, calls = sys.argv[1], *map(Path, sys.argv[2:5]), json.loads(sys.argv[5])

def work(folder):
    settings = Settings(data_dir=folder)
    if verb == "backup":
        back_up(settings, folder / "copy.db")
    else:
        restore(settings, backup, Records, datetime.now(UTC))

def killed(call, number):
    folder = trials / f"{call}-{number}"
    shutil.copytree(template, folder)
    reading, writing = os.pipe()
    if not (child := os.fork()):
        ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0)  # PR_SET_PTRACER: anybody
        os.read(reading, 1)
        work(folder)
        os._exit(0)
    inject = f"inject=?{call}:signal=SIGKILL:when={number}"
    options = ["-qq", "-f", "-o", "/dev/null", "-e", f"trace=?{call}", "-e", inject, "-p", str(child)]
    strace = subprocess.Popen(["strace", *options], stderr=subprocess.PIPE)
    ends = time.monotonic() + 10
    while "TracerPid:\\t0" in Path(f"/proc/{child}/status").read_text():
        if strace.poll() is not None or time.monotonic() > ends:
            print(json.dumps("strace cannot attach: " + strace.stderr.read().decode()))
            os.kill(child, 9)
            sys.exit(0)
        time.sleep(0.002)
    os.write(writing, b"x")
    status = os.waitpid(child, 0)[1]
    strace.wait()
    os.close(reading), os.close(writing)
    assert status in (0, 9), status
    return status == 9

for call, every in calls.items():
    number = 1
    while killed(call, number):
        print(json.dumps([call, number]), flush=True)
        number += every
"""


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(pysqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], database
        return [tuple(row) for row in connection.execute(query)]


def names(database: Path) -> list[str]:
    return [str(name) for (name,) in rows(database, "SELECT name FROM runs ORDER BY id")]


def killed_at_each(verb: str, template: Path, backup: Path, trials: Path) -> dict[str, int]:
    """Do the work once for each file operation, killed there; gives how many of each there were."""
    if not shutil.which("strace"):
        pytest.skip("there is no strace here")
    trials.mkdir()
    script = [sys.executable, "-c", TRIALS, verb, str(template), str(backup), str(trials), json.dumps(CALLS)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if answers and isinstance(answers[-1], str):
        pytest.skip(answers[-1])
    return {call: sum(answer[0] == call for answer in answers) for call in CALLS}


@contextmanager
def reporting(site: Site) -> Iterator[tuple[list[tuple[int, int]], list[str]]]:
    """Workers that report epochs over HTTP, one a request; gives what was acknowledged, and the attempts' addresses."""
    acknowledged: list[tuple[int, int]] = []
    errors: list[BaseException] = []
    ends = threading.Event()
    headers = {"Authorization": f"Bearer {(site.data_dir / 'worker-token').read_text().strip()}"}
    client = httpx2.Client(base_url=site.url, headers=headers, timeout=30)
    addresses = []

    def report(address: str, run_id: int) -> None:
        try:
            number = 0
            while not ends.is_set():
                event = epoch(number) if number else started()
                client.post(f"{address}/report", json={"first_seq": number, "events": [event]}).raise_for_status()
                acknowledged.extend([(run_id, number)] * bool(number))
                number += 1
                time.sleep(PAUSE_S)
        except BaseException as error:
            errors.append(error)

    threads = []
    for index in range(CLIENTS):
        site.launch(preset="quickstart", recipe={"epochs": 500})
        asked = {"worker": f"w{index}", "device": "cpu", "backends": ["tensorflow"]}
        run = client.post("/api/v1/worker/claim", json=asked).json()
        addresses.append(f"/api/v1/worker/runs/{run['run']}/attempts/{run['attempt']}")
        threads.append(threading.Thread(target=report, args=(addresses[-1], run["run"])))
    for thread in threads:
        thread.start()
    try:
        yield acknowledged, addresses
    finally:
        ends.set()
        for thread in threads:
            thread.join()
        client.close()
    assert errors == []


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's data folder after it was killed: `before` is in the backup beside it, `after` in its WAL alone."""
    site = Site(tmp_path_factory.mktemp("killed"))
    web = site.serve()
    site.launch(preset="quickstart", name="before")
    done = command("app", "backup", str(site.data_dir.with_name("copy.db")), data_dir=site.data_dir)
    assert done.returncode == 0, done.stderr
    site.launch(preset="quickstart", name="after")
    web.kill()
    site.close()
    assert (site.data_dir / "pitwall.db-wal").stat().st_size > 0
    return site.data_dir


def test_a_busy_server_is_backed_up_killed_brought_back_and_refuses_those_who_lived_on(site: Site, tmp_path: Path):
    web = site.serve()
    copy = tmp_path / "copy.db"
    with reporting(site) as (acknowledged, addresses):
        until(lambda: len(acknowledged) > 20, 30, "epochs arrive")
        before = set(acknowledged)
        done = command("app", "backup", str(copy), data_dir=site.data_dir)
        after = set(acknowledged)
    assert done.returncode == 0, done.stderr
    copied = {(run, number) for run, number in rows(copy, "SELECT run_id, epoch FROM epochs")}
    assert before <= copied and len(after) > len(before)
    assert f"runs: {CLIENTS}, epochs: {len(copied)}, artifacts: 0" in done.stdout
    assert f"rsync -a {site.data_dir}/runs/ {tmp_path}/runs/" in done.stdout

    refused = command("app", "restore", str(copy), data_dir=site.data_dir)
    assert refused.returncode == 1 and "stop it, then restore" in refused.stderr
    assert "Traceback" not in refused.stderr
    web.kill()
    web.wait()

    done = command("app", "restore", "--verify", str(copy), data_dir=site.data_dir)
    assert done.returncode == 0, done.stderr
    assert f"runs: {CLIENTS}, epochs: {len(copied)}, artifacts: 0" in done.stdout
    kept = Path(done.stdout.partition("is kept as ")[2].splitlines()[0])
    assert set(acknowledged) <= set(rows(kept, "SELECT run_id, epoch FROM epochs"))
    site.serve()
    headers = {"Authorization": f"Bearer {(site.data_dir / 'worker-token').read_text().strip()}"}
    answers = [httpx2.post(f"{site.url}{address}/beat", headers=headers) for address in addresses]
    assert [answer.status_code for answer in answers] == [409] * CLIENTS
    runs = site.get("/api/v1/runs")["runs"]
    assert [(run["status"], run["attempt"]) for run in runs] == [("queued", 101)] * CLIENTS
    assert sum(run["last_epoch"] for run in runs) == len(copied)


def test_a_restore_that_is_killed_at_any_file_operation_leaves_the_old_records_or_the_new_ones(
    killed: Path, tmp_path: Path
):
    backup, trials = killed.with_name("copy.db"), tmp_path / "trials"
    kills = killed_at_each("restore", killed, backup, trials)

    left = {}
    for folder in sorted(trials.iterdir()):
        left[folder.name] = names(folder / "pitwall.db")
        for kept in folder.glob("pitwall.db.before-restore-*"):
            assert names(kept) == ["before", "after"]
    old = [name for name, found in left.items() if found == ["before", "after"]]
    new = [name for name, found in left.items() if found == ["before"]]
    assert sorted(old + new) == sorted(left)
    assert sum(kills.values()) + len(CALLS) == len(left)  # each kind of operation was also let through once
    assert len(new) > len(CALLS), "some were killed after the moment"
    assert kills["rename"] == 2 and kills["fsync"] > 5 and kills["unlink"] > 5 and kills["pwrite64"] > 1

    name = max(old, key=lambda name: len(list((trials / name).iterdir())))  # what was left in the way disturbs nobody
    done = command("app", "restore", str(backup), data_dir=trials / name)
    assert done.returncode == 0, done.stderr
    assert names(trials / name / "pitwall.db") == ["before"]
    assert not list((trials / name).glob("*.restoring*")) and not list((trials / name).glob(".*part"))


def test_a_backup_that_is_killed_at_any_file_operation_leaves_no_file_or_a_whole_one(killed: Path, tmp_path: Path):
    kills = killed_at_each("backup", killed, tmp_path / "unused", tmp_path / "trials")

    assert kills["rename"] == 1 and kills["fsync"] >= 2 and kills["pwrite64"] > 1
    whole = 0
    for folder in (tmp_path / "trials").iterdir():
        assert names(folder / "pitwall.db") == ["before", "after"]
        if (folder / "copy.db").exists():
            whole += 1
            assert names(folder / "copy.db") == ["before", "after"]
    assert len(CALLS) < whole < sum(kills.values())


def test_a_restore_into_an_empty_folder_is_served_as_it_is(killed: Path, site: Site):
    """The rehearsal, and the move to another machine."""
    done = command("app", "restore", str(killed.with_name("copy.db")), data_dir=site.data_dir)
    assert done.returncode == 0 and "kept" not in done.stdout, done.stderr

    site.serve()
    assert [run["name"] for run in site.get("/api/v1/runs")["runs"]] == ["before"]
    assert site.launch(preset="quickstart") == 1002
