"""`python -m trainer --wait` as a worker uses it: it preloads, publishes nothing, and takes one order."""

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

import psutil
import pytest

from tests.trainer.conftest import REPOSITORY
from tests.trainer.loop.waiting import LIGHT, RECIPE, numbers, until

REAL = (sys.executable, "-m", "trainer")


class Waiting:
    """A process that preloads for a run. Its log goes to a file."""

    def __init__(
        self, log: Path, expected: dict[str, Any], command: tuple[str, ...] = LIGHT, what: str = "all"
    ) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--wait", what, "-"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True, cwd=REPOSITORY,
            )  # fmt: skip
        self._tell(expected)

    def is_ready(self) -> bool:
        """Whether it has stopped working."""
        before = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        time.sleep(0.5)
        after = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        return 0.1 < before == after

    def order(self, recipe: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
        """Returns all its events, after its end."""
        self._tell({"at": time.monotonic(), "recipe": recipe, "arguments": list(arguments)})
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.said()

    def said(self) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        said = [json.loads(line) for line in self.process.stdout]
        self.process.wait(60)
        return said

    def _tell(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()


Begin = Callable[..., Waiting]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Waiting] = []

    def start(*what: Any) -> Waiting:
        begun.append(Waiting(tmp_path / f"{len(begun)}.log", *what))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout):
            assert stream is not None
            stream.close()


def cold(recipe: dict[str, Any], command: tuple[str, ...] = LIGHT) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*command, "-"], input=json.dumps(recipe), capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def started(said: list[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in said if event["event"] == "started")


@pytest.mark.parametrize(
    "change", [{}, {"seed": 7}, {"epochs": 2}, {"dataset": {"name": "digits", "train_limit": 100}}], ids=str
)
def test_a_warm_child_s_result_is_that_of_a_cold_one(begin: Begin, tmp_path: Path, change: dict[str, Any]):
    waiting = begin(RECIPE)
    until(waiting.is_ready)
    assert waiting.log.read_text() == ""  # nothing of its rehearsal

    warm = waiting.order(RECIPE | change, "--dir", str(tmp_path / "run"))

    assert waiting.process.returncode == 0
    assert numbers(warm) == numbers(cold(RECIPE | change))
    assert list((tmp_path / "run").glob("checkpoint-*"))
    assert started(warm)["is_warm"]
    assert 0 < started(warm)["startup_seconds"] < 5


def test_an_order_that_comes_at_once_is_taken_as_well(begin: Begin):
    said = begin(RECIPE).order(RECIPE | {"seed": 7})

    assert numbers(said) == numbers(cold(RECIPE | {"seed": 7}))


def test_a_child_that_got_ready_on_the_host_alone_takes_its_order_as_well(begin: Begin):
    waiting = begin(RECIPE, LIGHT, "host")
    until(waiting.is_ready)

    said = waiting.order(RECIPE)

    assert started(said)["is_warm"]
    assert numbers(said) == numbers(cold(RECIPE))


def test_a_cold_child_says_how_long_it_took_to_start():
    said = started(cold(RECIPE))

    assert not said["is_warm"]
    assert 0.1 < said["startup_seconds"] < 30


def test_images_that_changed_while_it_waited_are_read_anew(begin: Begin, tmp_path: Path):
    from PIL import Image

    for number, name in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "pets" / name / "1.png")
    recipe = RECIPE | {"dataset": {"name": "folder:pets"}, "batch_size": 1}
    command = (*LIGHT, "--datasets", str(tmp_path))
    waiting = begin(recipe, command)
    until(waiting.is_ready)
    old = started(cold(recipe, command))["environment"]["dataset_fingerprint"]
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "pets/train/a/1.png")

    said = waiting.order(recipe)

    assert started(said)["environment"]["dataset_fingerprint"] != old
    assert numbers(said) == numbers(cold(recipe, command))


def test_where_the_data_set_is_missing_the_run_says_so(begin: Begin, tmp_path: Path):
    recipe = RECIPE | {"dataset": {"name": "folder:none"}}
    waiting = begin(recipe, (*LIGHT, "--datasets", str(tmp_path)))

    said = waiting.order(recipe)

    assert waiting.process.returncode == 1
    assert [(one["event"], one["kind"]) for one in said] == [("failed", "dataset_missing")]


def test_without_an_order_it_ends_well_when_stdin_is_closed(begin: Begin):
    waiting = begin(RECIPE)
    assert waiting.process.stdin is not None
    waiting.process.stdin.close()

    assert waiting.said() == []
    assert waiting.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly_while_it_waits(begin: Begin, number: signal.Signals):
    waiting = begin(RECIPE)
    until(waiting.is_ready)
    waiting.process.send_signal(number)

    assert waiting.said() == []
    assert waiting.process.returncode == -number
    assert waiting.log.read_text() == ""


@pytest.mark.parametrize(
    ("order", "complaint"), [({"recipe": {}}, "not an order"), ({"at": 0, "recipe": {"epochs": 0}}, "not an order"),
                             ({"at": 0, "recipe": {"epochs": 0}, "arguments": []}, "epochs:")]
)  # fmt: skip
def test_what_is_not_an_order_is_refused(begin: Begin, order: dict[str, Any], complaint: str):
    waiting = begin(RECIPE)
    waiting._tell(order)
    said = waiting.said()

    assert waiting.process.returncode == 2
    assert said[-1]["kind"] == "recipe"
    assert complaint in said[-1]["message"]


@pytest.mark.keras
def test_a_model_that_was_compiled_ahead_learns_bit_by_bit_what_a_new_one_learns(begin: Begin):
    recipe = RECIPE | {"model": {"width": 4, "dropout": 0.1}, "epochs": 2}
    waiting = begin(recipe, REAL)
    until(waiting.is_ready, 90)

    warm = waiting.order(recipe | {"seed": 3})

    assert numbers(warm) == numbers(cold(recipe | {"seed": 3}, REAL))


@pytest.mark.keras
def test_importing_the_framework_opens_no_device_and_brings_nothing_that_no_run_uses():
    program = """
import sys
from trainer.loop import warm
warm.import_engine("tensorflow")
from tensorflow.python.eager import context
print(context.context()._initialized, context.context()._physical_devices)
print(*sys.modules.keys() & {"jax", "matplotlib", "pandas"})
import matplotlib  # whoever wants it afterwards has it
"""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=True
    )

    assert done.stdout.split() == ["False", "None"]
