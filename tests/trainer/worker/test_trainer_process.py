"""`python -m trainer` as its callers see it: a real process, its streams, its exit code."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import REPOSITORY

# Runs the trainer's own main while a C library keeps writing to its stdout, as CUDA's libraries do.
NOISY = """
import ctypes, runpy, sys, threading, time
def chatter():
    libc = ctypes.CDLL(None)
    time.sleep(2)
    for _ in range(50):
        libc.puts(b"chatter of a C library"); libc.fflush(None); print("and of Python", flush=True); time.sleep(0.1)
threading.Thread(target=chatter, daemon=True).start()
runpy.run_module("trainer", run_name="__main__", alter_sys=True)
"""


def child(*arguments: str, recipe: Any = None, program: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", program] if program else ["-m", "trainer"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        input="" if recipe is None else json.dumps(recipe),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def epochs(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in said if event["event"] == "epoch"]


@contextmanager
def running(recipe: dict[str, Any], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(recipe))
    process.stdin.close()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path, float]:
    """The whole quickstart preset, once: process, folder, wall seconds."""
    folder = tmp_path_factory.mktemp("run")
    began = time.monotonic()
    done = child("--preset", "quickstart", "--dir", str(folder), program=NOISY)
    return done, folder, time.monotonic() - began


@pytest.mark.keras
def test_the_quickstart_learns_the_digits_in_under_a_minute(quickstart):
    done, _, seconds = quickstart
    assert done.returncode == 0, done.stderr
    assert epochs(events(done))[-1]["val_accuracy"] >= 0.95
    assert seconds < 120  # under 60 on an idle machine; the tests may share theirs


@pytest.mark.keras
def test_stdout_is_json_lines_whatever_libraries_write(quickstart):
    done, _, _ = quickstart
    kinds = [event["event"] for event in events(done)]
    assert set(kinds) == {"step", "started", "evidence", "epoch", "checkpoint", "finished"}
    assert kinds[-1] == "finished"
    assert kinds.count("epoch") == 16
    assert "chatter of a C library" in done.stderr
    assert "and of Python" in done.stderr
    assert "epoch  16" in done.stderr  # people's log


@pytest.mark.keras
def test_what_is_said_fits_together(quickstart):
    done, folder, _ = quickstart
    said = events(done)
    started = next(event for event in said if event["event"] == "started")
    assert (started["train_images"], started["val_images"], started["steps_per_epoch"]) == (1497, 300, 30)
    assert started["parameters"]["total"] == sum(started["parameters"][part] for part in ("trainable", "non_trainable"))
    environment = started["environment"]
    assert environment["device"] == "cpu" or environment["driver"]
    assert len(environment["dataset_fingerprint"]) == 64
    assert {"keras", "tensorflow", "numpy", "imgaug", "opencv", "python", "commit"} <= set(environment)
    rows = epochs(said)
    assert [row["epoch"] for row in rows] == list(range(1, 17))
    for row in rows:
        assert 0 < row["input_seconds"] < row["seconds"]
        assert row["val_seconds"] > 0
        assert row["penalty"] > 0
    assert rows[0]["compile_seconds"] > 0 == rows[1]["compile_seconds"]
    assert json.loads((folder / "recipe.json").read_text())["epochs"] == 16
    gaps_free = {event["phase"] for event in said if event["event"] == "step"}
    assert {"loading", "training"} <= gaps_free


@pytest.mark.thorough  # resumed runs are held bit by bit to one that was not stopped, always
@pytest.mark.keras
def test_the_same_seed_gives_the_same_numbers_again(quickstart):
    done, _, _ = quickstart
    again = child("-", "--preset", "quickstart", recipe={"epochs": 2})
    assert again.returncode == 0, again.stderr
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "penalty")
    first, second = ([[row[name] for name in names] for row in epochs(events(run))[:2]] for run in (done, again))
    assert first == second


@pytest.mark.keras
def test_a_slow_step_is_seen_moving_and_sigterm_ends_the_run_at_its_end():
    recipe = {
        "dataset": {"name": "digits", "train_limit": 600, "val_limit": 20},
        "model": {"width": 64},
        "batch_size": 100,
        "epochs": 100,
    }
    with running(recipe) as process:
        assert process.stdout is not None
        heard: list[float] = []
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step" and event["phase"] == "training":
                heard.append(time.monotonic())
            if len(heard) > 8:
                break
        assert max(after - before for before, after in itertools.pairwise(heard)) < 1.5
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line)["event"] for line in process.stdout]
        assert process.wait(timeout=60) == 75
        assert time.monotonic() - asked < 60  # one step of a wide model on a busy machine
        assert "failed" not in rest
        assert "finished" not in rest


def test_a_bad_recipe_exits_2_with_the_path_of_each_mistake():
    done = child(recipe={"dataset": {"nme": "digits"}, "schedule": {"kind": "triangular", "max_lr": -1}})
    assert done.returncode == 2
    assert "dataset.nme: there is no such setting" in done.stderr
    assert "schedule.max_lr:" in done.stderr
    assert events(done)[-1]["kind"] == "recipe"


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"schedule": 3}', '{"epochs": NaN}'])
def test_what_is_not_a_recipe_at_all_exits_2(tmp_path: Path, text: str):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    done = child(str(path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_missing_data_set_is_reported_and_exits_1(tmp_path: Path):
    done = child("--datasets", str(tmp_path), recipe={"dataset": {"name": "folder:birds"}})
    assert done.returncode == 1
    last = events(done)[-1]
    assert (last["event"], last["kind"]) == ("failed", "dataset_missing")
    assert str(tmp_path / "birds") in last["hint"]


def test_batches_larger_than_the_data_cannot_all_be_dropped():
    done = child(recipe={"batch_size": 4096, "last_batch": "drop"})
    assert done.returncode == 2
    assert "batch_size" in events(done)[-1]["message"]


def test_a_child_whose_parent_is_another_process_does_not_start():
    assert child("--parent", "1", recipe={}).returncode == 1


def test_a_child_dies_with_its_parent():
    parent = f"""
import os, subprocess, sys, time
started = subprocess.Popen([sys.executable, "-m", "trainer", "--preset", "quickstart", "--parent", str(os.getpid())],
    cwd={str(REPOSITORY)!r}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
started.stdout.readline()
print(started.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    """Running, and not a zombie (state Z)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_an_unknown_preset_is_refused():
    assert child("--preset", "nothing").returncode == 2
