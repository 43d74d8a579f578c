"""When checkpoints are saved, which are kept, and that neither a kill nor a broken disk loses the latest."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.worker import system_calls
from tests.trainer.worker.system_calls import is_the, made_at
from trainer.events import BaseEvent, CheckpointFailed, CheckpointSaved
from trainer.failures import FolderUnusable
from trainer.loop.checkpoint_file import (
    Checkpoint,
    RunPosition,
    checkpoint_path,
    list_checkpoints,
    parse_position,
    read_checkpoint,
    read_newest,
    write_checkpoint,
)
from trainer.loop.checkpoints import NEXT_BEST, Checkpoints
from trainer.protocol import BEST

traced = pytest.mark.skipif(not system_calls.is_possible(), reason="strace is missing or may not attach")


def at(epoch: int, step: int = 0) -> Callable[[], Checkpoint]:
    made = made_at(epoch, only_weights=True)
    return lambda: replace(made, metadata=replace(made.metadata, place=replace(made.metadata.place, step=step)))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_newest_two_and_the_best_stay(tmp_path: Path):
    said: list[BaseEvent] = []
    with Checkpoints(tmp_path / "new" / "folder", 0, said.append) as checkpoints:
        folder = tmp_path / "new" / "folder"
        for epoch in range(1, 6):
            if epoch in {1, 3}:
                checkpoints.hold_best(at(epoch))
            checkpoints.save_if_due(at(epoch), is_last=epoch == 5)
            if checkpoints._under_way:
                checkpoints._under_way.result()
        assert [parse_position(path) for path in list_checkpoints(folder)] == [(5, 0), (4, 0)]
        assert is_the(read_checkpoint(folder / BEST), 3, only_weights=True)
        assert {path.name for path in folder.iterdir()} == {BEST, *(path.name for path in list_checkpoints(folder))}
    assert [(event.epoch, event.bytes) for event in said if isinstance(event, CheckpointSaved)] == [
        (epoch, checkpoint_path(folder, RunPosition(epoch=5)).stat().st_size) for epoch in range(1, 6)
    ]


def test_epochs_shorter_than_the_interval_share_one_and_the_last_is_written_in_any_case(tmp_path: Path):
    clock, said = Clock(), list[BaseEvent]()
    with Checkpoints(tmp_path, 60, said.append, clock) as checkpoints:
        clock.now += 1000  # the framework is imported
        checkpoints.start_timer()
        for epoch in range(1, 12):
            clock.now += 25
            checkpoints.save_if_due(at(epoch), is_last=epoch == 11)
            checkpoints._collect()
    assert [event.epoch for event in said if isinstance(event, CheckpointSaved)] == [3, 6, 9, 11]


def test_a_stop_writes_at_once_what_is_not_on_the_disk_yet(tmp_path: Path):
    said: list[BaseEvent] = []
    with Checkpoints(tmp_path, 60, said.append) as checkpoints:
        checkpoints.save_now(at(0, 0))  # nothing has happened
        assert said == []
        checkpoints.save_now(at(0, 7))
        assert [parse_position(path) for path in list_checkpoints(tmp_path)] == [(0, 7)]
    with Checkpoints(tmp_path, 60, said.append) as checkpoints:
        found = checkpoints.load_newest()
        assert found is not None
        assert (found.metadata.place.epoch, found.metadata.place.step) == (0, 7)
        checkpoints.save_now(at(0, 7))
        assert len(said) == 1
        checkpoints.save_now(at(3, 9))
    assert [(one.epoch, one.step) for one in said if isinstance(one, CheckpointSaved)] == [(0, 7), (3, 9)]


def test_a_slow_disk_holds_up_no_epoch_but_the_last(tmp_path: Path):
    """The event handler is as slow as a disk: it is called in the writing thread."""
    goes_on, said = threading.Event(), list[BaseEvent]()

    def say(event: BaseEvent) -> None:
        said.append(event)
        goes_on.wait(30)

    with Checkpoints(tmp_path, 0, say) as checkpoints:
        for epoch in range(1, 5):
            checkpoints.hold_best(at(epoch))
            checkpoints.save_if_due(at(epoch), is_last=False)
        while not said:
            pass
        threading.Timer(0.2, goes_on.set).start()
        checkpoints.save_if_due(at(5), is_last=True)
        assert [one.epoch for one in said if isinstance(one, CheckpointSaved)] == [1, 5]
        assert is_the(read_checkpoint(tmp_path / BEST), 4, only_weights=True)


def test_without_a_folder_nothing_is_kept_and_nobody_looks_at_the_device():
    said: list[BaseEvent] = []

    def never() -> Checkpoint:
        raise AssertionError

    with Checkpoints(None, 0, said.append) as checkpoints:
        assert checkpoints.load_newest() is None
        checkpoints.hold_best(never)
        checkpoints.save_if_due(never, is_last=True)
        checkpoints.save_now(never)
        checkpoints.write_note("recipe.json", "{}")
    assert said == []


def test_a_damaged_one_is_passed_over_and_makes_room(tmp_path: Path):
    for epoch in (1, 2):
        write_checkpoint(checkpoint_path(tmp_path, RunPosition(epoch=epoch)), at(epoch)())
    path = checkpoint_path(tmp_path, RunPosition(epoch=2))
    path.write_bytes(path.read_bytes()[:-5])
    with Checkpoints(tmp_path, 0, lambda _: None) as checkpoints:
        found = checkpoints.load_newest()
    assert found is not None
    assert is_the(found, 1, only_weights=True)
    assert [parse_position(path) for path in list_checkpoints(tmp_path)] == [(1, 0)]


@pytest.mark.parametrize(("waits", "becomes"), [(2, 2), (3, None)])
def test_best_weights_are_never_newer_than_the_checkpoint(tmp_path: Path, waits: int, becomes: int | None):
    """After a kill that follows their checkpoint they are published; before it, their epoch is trained again."""
    write_checkpoint(checkpoint_path(tmp_path, RunPosition(epoch=2)), made_at(2))
    write_checkpoint(tmp_path / NEXT_BEST, at(waits)())
    with Checkpoints(tmp_path, 0, lambda _: None) as checkpoints:
        checkpoints.load_newest()
    assert (tmp_path / BEST).exists() == (becomes is not None)
    assert not (tmp_path / NEXT_BEST).exists()


def test_two_trainers_do_not_share_a_folder(tmp_path: Path):
    with Checkpoints(tmp_path, 0, lambda _: None), pytest.raises(FolderUnusable, match="another trainer"):
        Checkpoints(tmp_path, 0, lambda _: None)
    with Checkpoints(tmp_path, 0, lambda _: None):
        pass


def test_a_folder_that_cannot_be_made_has_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"cannot be used: .*exists|cannot be used: Not a directory"):
        Checkpoints(tmp_path / "file", 0, lambda _: None)


def test_a_listener_that_is_gone_ends_the_run_and_not_the_thread_alone(tmp_path: Path):
    def say(event: BaseEvent) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), Checkpoints(tmp_path, 0, say) as checkpoints:
        checkpoints.save_if_due(at(1), is_last=False)


@traced
def test_a_run_killed_at_any_system_call_of_a_checkpoint_can_go_on(tmp_path: Path):
    outcomes = system_calls.kills(tmp_path)
    assert outcomes.lost == []
    assert outcomes.survived == outcomes.points >= 25
    assert {"openat", "write", "fsync", "rename", "close", "unlink"} <= outcomes.calls.keys()
    assert min(outcomes.found[system_calls.BEFORE], outcomes.found[system_calls.WRITTEN]) >= 5  # both sides were hit


@traced
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_call_that_fails_costs_that_checkpoint_and_no_other(tmp_path: Path, error: str):
    outcomes = system_calls.faults(tmp_path, error)
    assert outcomes.lost == []
    assert outcomes.survived == outcomes.points >= 20
    assert outcomes.refused >= 15


@traced
def test_a_name_is_given_to_what_is_on_the_disk_and_taken_from_the_old_afterwards(tmp_path: Path):
    """A power cut cannot be tested here; what it leaves follows from this order."""
    new = checkpoint_path(tmp_path, RunPosition(epoch=system_calls.WRITTEN)).name
    old = checkpoint_path(tmp_path, RunPosition(epoch=system_calls.BEFORE - 1)).name
    assert system_calls.sequence(tmp_path) == [
        *(f"write {NEXT_BEST}", f"fsync {NEXT_BEST}", f"rename {NEXT_BEST} {NEXT_BEST}", "fsync place"),
        *(f"write {new}", f"fsync {new}", f"rename {new} {new}", "fsync place"),
        *(f"rename {NEXT_BEST} {BEST}", f"unlink {old}"),
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """28 MB: two checkpoints of 8.8 MB fit in beside their best weights, three do not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=28m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_reported_and_what_was_there_stays_good(small_disk: Path):
    said: list[BaseEvent] = []
    with Checkpoints(small_disk, 0, said.append) as checkpoints:
        for epoch in (1, 2):
            checkpoints.save_if_due(lambda epoch=epoch: made_at(epoch), is_last=True)  # type: ignore[misc]
        left = shutil.disk_usage(small_disk).free
        (small_disk / "other").write_bytes(bytes(left - 6_000_000))  # written in part before the disk is full
        checkpoints.hold_best(at(3))
        checkpoints.save_if_due(lambda: made_at(3), is_last=True)
        assert isinstance(said[-1], CheckpointFailed)
        assert "No space left on device" in said[-1].message
        assert not list(small_disk.glob("*.part"))
        found = read_newest(small_disk)
        assert found is not None
        assert is_the(found, 2)
        (small_disk / "other").unlink()
        checkpoints.save_if_due(lambda: made_at(4), is_last=True)
        assert isinstance(said[-1], CheckpointSaved)
    found = read_newest(small_disk)
    assert found is not None
    assert is_the(found, 4)
    assert is_the(read_checkpoint(small_disk / BEST), 3, only_weights=True)
