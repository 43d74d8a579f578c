"""The folders of a run's attempts: each starts with what the earlier ones left."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trainer.machine.memory import oom_kills
from trainer.worker.workspace import KEPT_S, Workspace, delete_old


def place(folder: Path, attempt: int, trail: str = "a1") -> Workspace:
    return Workspace(folder / "work", 7, trail, attempt)


def keep(work: Workspace, *names: str) -> None:
    for name in names:
        (work.folder / name).write_text(f"{work.folder.name} {name}")


def names(work: Workspace) -> list[str]:
    return sorted(path.name for path in work.folder.iterdir())


def test_an_attempt_begins_with_the_newest_two_checkpoints_of_the_earlier_ones(tmp_path: Path):
    first, second, third = (place(tmp_path, number) for number in (1, 2, 3))
    first.open()
    keep(first, "checkpoint-00001-000000.safetensors", "checkpoint-00002-000000.safetensors", "best.safetensors")
    second.open()
    keep(second, "checkpoint-00002-000005.safetensors", "best.next.safetensors", "recipe.json")
    third.open()

    assert names(third) == [
        "best.next.safetensors", "best.safetensors",
        "checkpoint-00002-000000.safetensors", "checkpoint-00002-000005.safetensors",
    ]  # fmt: skip
    assert third.position == (2, 5)
    assert third.newest() == third.folder / "checkpoint-00002-000005.safetensors"
    third.delete_earlier()
    assert [path.name for path in third.folder.parent.iterdir()] == ["3"]
    assert (third.folder / "checkpoint-00002-000005.safetensors").read_text().startswith("2 ")


def test_a_child_that_lost_its_run_writes_beside_the_new_one(tmp_path: Path):
    first = place(tmp_path, 1)
    first.open()
    keep(first, "checkpoint-00001-000000.safetensors")
    second = place(tmp_path, 2)
    second.open()
    replaced = first.folder / "checkpoint-00001-000000.safetensors"
    replaced.unlink()
    replaced.write_text("of the zombie")

    assert (second.folder / replaced.name).read_text().startswith("1 ")


def test_checkpoints_of_another_trail_are_not_ours(tmp_path: Path):
    old = place(tmp_path, 1, "a1")
    old.open()
    keep(old, "checkpoint-00009-000000.safetensors")
    new = place(tmp_path, 2, "b2")
    new.open()

    assert (new.position, new.newest()) == ((0, 0), None)
    new.delete()
    assert old.newest() is not None


def test_a_trail_that_nobody_touched_for_long_is_given_up(tmp_path: Path):
    old, new = place(tmp_path, 1, "a1"), place(tmp_path, 1, "b2")
    for one in (old, new):
        one.open()
    long_ago = time.time() - KEPT_S - 60
    for path in (old.folder, old.folder.parent):
        os.utime(path, (long_ago, long_ago))

    os.utime(new.folder.parent, (long_ago, long_ago))  # its child still writes into the folder below
    delete_old(tmp_path / "work")

    assert (old.folder.exists(), new.folder.exists()) == (False, True)


def test_the_kernel_s_kills_are_read_from_the_group_s_own_counter(tmp_path: Path):
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    for folder, name, text in [
        ("memory/a/b", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ("a/b", "memory.events", "low 0\nhigh 0\noom 4\noom_kill 5\n"),
    ]:
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_text(text)

    own.write_text("3:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/a/b\n")
    assert oom_kills(own, root) == 3
    own.write_text("0::/a/b\n")
    assert oom_kills(own, root) == 5
    own.write_text("0::/elsewhere\n")
    assert oom_kills(own, root) == 0
    assert oom_kills(tmp_path / "missing", root) == 0
