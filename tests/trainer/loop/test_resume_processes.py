"""Real child processes, ended by real signals: the next attempt ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import REPOSITORY
from tests.trainer.loop.test_resume import EVERYTHING, ending, without_times
from trainer.loop.checkpoint_file import list_checkpoints, parse_position

pytestmark = pytest.mark.keras

RECIPE: dict[str, Any] = {**EVERYTHING, "dataset": {"train_limit": 240, "val_limit": 40}, "epochs": 8}


class Attempt:
    """A child in `folder`; its events are read as they arrive, its log goes to a file."""

    def __init__(self, folder: Path, *arguments: str, recipe: dict[str, Any] = RECIPE) -> None:
        self.log = folder.with_suffix(".log")
        command = [sys.executable, "-m", "trainer", "--dir", str(folder), "--checkpoint-every", "0", *arguments, "-"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(recipe))
        self.process.stdin.close()
        self.said: list[dict[str, Any]] = []

    def hear(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # a killed process may have begun another
                self.said.append(json.loads(line))
                yield self.said[-1]

    def until(self, is_met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return next(event for event in self.hear() if is_met(event))

    def end(self, number: signal.Signals | None = None) -> int:
        """Send the signal, read the remaining events, return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        for _ in self.hear():
            pass
        return self.process.wait(timeout=60)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.said if event["event"] == kind]


Begin = Callable[..., Attempt]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts attempts; none of them outlives the test."""
    begun: list[Attempt] = []

    def start(*arguments: Any, **more: Any) -> Attempt:
        begun.append(Attempt(*arguments, **more))
        return begun[-1]

    yield start
    for attempt in begun:
        attempt.process.kill()
        attempt.process.wait()
        assert attempt.process.stdout is not None
        attempt.process.stdout.close()


def rows(attempt: Attempt) -> dict[int, dict[str, Any]]:
    return {row["epoch"]: without_times(row) for row in attempt.of("epoch")}


def test_killed_twice_and_stopped_once_a_run_ends_with_the_same_bits(begin: Begin, tmp_path: Path):
    alone, folder = begin(tmp_path / "alone"), tmp_path / "killed"
    assert alone.end() == 0

    first = begin(folder)
    first.until(lambda event: event["event"] == "checkpoint")
    time.sleep(0.05)  # perhaps in a step, perhaps in the next writing
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert "continuing" not in first.log.read_text()

    second = begin(folder)
    started = second.until(lambda event: event["event"] == "started")
    assert started["resumed_from_epoch"] >= 1
    os.kill(second.process.pid, signal.SIGUSR1)
    second.until(lambda event: event["event"] == "epoch")
    assert second.end(signal.SIGTERM) == 75
    assert parse_position(list_checkpoints(folder)[0]) == tuple(
        second.of("checkpoint")[-1][key] for key in ("epoch", "step")
    )
    log = second.log.read_text()
    assert f"resuming after epoch {started['resumed_from_epoch']}\n" in log
    assert "Thread 0x" in log
    assert "trainer/loop/train.py" in log

    third = begin(folder)
    third.until(lambda event: event["event"] == "epoch")
    assert third.end(signal.SIGKILL) == -signal.SIGKILL

    last = begin(folder, "--known", "0")
    assert last.end() == 0
    assert last.of("started")[0]["resumed_from_epoch"] >= started["resumed_from_epoch"]
    assert rows(last) == rows(alone)  # nobody but the checkpoint remembers
    assert [row["epoch"] for row in last.of("epoch")] == list(range(1, RECIPE["epochs"] + 1))
    assert ending(folder) == ending(tmp_path / "alone")
    kinds = [event["event"] for event in last.said if event["event"] != "step"]
    assert kinds[-2:] == ["checkpoint", "finished"]


@pytest.mark.parametrize("arguments", [("--known", "-1"), ("--checkpoint-every", "nan"), ("--known", "x")])
def test_arguments_that_make_no_sense_are_refused(begin: Begin, tmp_path: Path, arguments: tuple[str, ...]):
    assert begin(tmp_path / "run", *arguments).end() == 2


def test_a_checkpoint_of_another_recipe_exits_2_and_names_the_folder(begin: Begin, tmp_path: Path):
    folder = tmp_path / "run"
    begun = begin(folder, recipe={**RECIPE, "epochs": 1})
    assert begun.end() == 0
    other = begin(folder, recipe={**RECIPE, "epochs": 1, "seed": 3})
    assert other.end() == 2
    [failed] = other.of("failed")
    assert failed["kind"] == "recipe"
    assert str(folder) in failed["message"]
    assert "seed is 3 here and 0 there" in failed["message"]


def test_a_folder_that_cannot_be_used_is_a_failure_with_a_sentence(begin: Begin, tmp_path: Path):
    (tmp_path / "file").touch()
    refused = begin(tmp_path / "file")
    assert refused.end() == 1
    assert "cannot be used" in refused.of("failed")[0]["message"]
