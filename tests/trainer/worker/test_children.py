"""A worker's children, one of them warm: it is used where it fits, discarded where not, and never missed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.trainer.loop.waiting import LIGHT, RECIPE, numbers, until
from trainer.presets import PRESETS
from trainer.worker.child import Child
from trainer.worker.children import Children

COMPLETE = PRESETS["quickstart"].recipe.model_dump(mode="json") | RECIPE | {"model": {"width": 2}}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Children]:
    (tmp_path / "program.py").touch()
    made = Children(tmp_path / "datasets", os.environ, LIGHT, keeps_warm=True, program=tmp_path)
    yield made
    made.close()
    assert family() == []


def family() -> list[psutil.Process]:
    """The light trainers of this process that live."""
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "tests.chaos.light_trainer" in one.cmdline()]


def done(kept: Children, recipe: dict[str, Any], folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """A run from taking its child to its end: the child's process, and what it said."""
    said: list[dict[str, Any]] = []
    child = kept.start_run(recipe, ["--dir", str(folder)], lambda event: said.append(event) if event else None)
    assert until(lambda: child.exit_code(0.1) == 0)
    child.close()
    return child.pid, said


def test_the_next_run_is_given_the_warm_child_and_ends_as_with_a_cold_one(kept: Children, tmp_path: Path):
    _, cold = done(kept, COMPLETE, tmp_path / "1")
    kept.warm_up(COMPLETE)
    waiting = family()

    pid, said = done(kept, COMPLETE, tmp_path / "2")

    assert pid == waiting[0].pid
    assert numbers(said) == numbers(cold)
    assert kept.counts == {"used": 1, "discarded": 0, "died": 0}


@pytest.mark.parametrize("change", [{"precision": "another"}, {"dataset": {"name": "cifar10"}}, {"backend": "another"}])
def test_a_child_that_does_not_fit_is_discarded_and_counted(kept: Children, tmp_path: Path, change: dict[str, Any]):
    kept.warm_up(COMPLETE | change)
    waiting = family()

    _, said = done(kept, COMPLETE, tmp_path / "1")

    assert not [event for event in said if event.get("is_warm")]
    assert not waiting[0].is_running()
    assert kept.counts == {"used": 0, "discarded": 1, "died": 0}


def test_a_child_whose_program_has_changed_since_is_discarded(kept: Children, tmp_path: Path):
    kept.warm_up(COMPLETE)
    another = tmp_path / "another.py"
    another.touch()
    later = another.stat().st_mtime + 1  # the clock of files stands still for some milliseconds
    os.utime(another, (later, later))

    done(kept, COMPLETE, tmp_path / "1")

    assert kept.counts["discarded"] == 1


def test_a_warm_child_that_was_killed_is_not_missed(kept: Children, tmp_path: Path):
    kept.warm_up(COMPLETE)
    waiting = family()[0]
    waiting.send_signal(signal.SIGKILL)
    until(lambda: waiting.status() == psutil.STATUS_ZOMBIE)  # before, it can still be written to

    _, said = done(kept, COMPLETE, tmp_path / "1")

    assert said[-1]["event"] == "finished"
    assert kept.counts == {"used": 0, "discarded": 0, "died": 1}


def test_there_is_one_at_most_and_none_where_it_is_not_wanted(kept: Children, tmp_path: Path):
    for _ in range(2):
        kept.warm_up(COMPLETE)
    assert len(family()) == 1
    kept.close()

    without = Children(tmp_path, os.environ, LIGHT)
    without.warm_up(COMPLETE)
    assert family() == []


@pytest.mark.parametrize(("cores", "expected"), [(3, 0), (4, 1)])
def test_beside_a_run_one_gets_ready_only_where_there_are_cores_for_both(tmp_path: Path, cores: int, expected: int):
    children = Children(tmp_path, os.environ, LIGHT, keeps_warm=True, cores=lambda: cores)
    children.warm_up_beside(COMPLETE)
    assert len(family()) == expected
    children.close()


def test_a_child_that_is_deaf_to_its_order_can_still_be_ended(kept: Children):
    kept.warm_up(COMPLETE)
    family()[0].suspend()
    child: Child = kept.start_run(COMPLETE, [], lambda event: None)
    child.kill()

    assert until(lambda: child.exit_code(0.1) == -signal.SIGKILL)
    child.close()
