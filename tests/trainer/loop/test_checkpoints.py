"""Which checkpoints are kept, when they are made, and that neither a kill nor a broken disk loses the last one."""

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
from trainer.events import CheckpointFailed, CheckpointSaved, Said
from trainer.failures import FolderUnusable
from trainer.loop.checkpoint_file import Checkpoint, Place, listing, newest, path_in, position, read, write
from trainer.loop.checkpoints import NEXT_BEST, Keeper
from trainer.protocol import BEST

traced = pytest.mark.skipif(not system_calls.is_possible(), reason="strace is missing or may not attach")


def at(epoch: int, step: int = 0) -> Callable[[], Checkpoint]:
    made = made_at(epoch, only_weights=True)
    return lambda: replace(made, facts=replace(made.facts, place=replace(made.facts.place, step=step)))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_newest_two_and_the_best_stay(tmp_path: Path):
    said: list[Said] = []
    with Keeper(tmp_path / "new" / "folder", 0, said.append) as keeper:
        folder = tmp_path / "new" / "folder"
        for epoch in range(1, 6):
            if epoch in {1, 3}:
                keeper.improved(at(epoch))
            keeper.epoch_ended(at(epoch), is_last=epoch == 5)
            if keeper._under_way:
                keeper._under_way.result()
        assert [position(path) for path in listing(folder)] == [(5, 0), (4, 0)]
        assert is_the(read(folder / BEST), 3, only_weights=True)
        assert {path.name for path in folder.iterdir()} == {BEST, *(path.name for path in listing(folder))}
    assert [(event.epoch, event.bytes) for event in said if isinstance(event, CheckpointSaved)] == [
        (epoch, path_in(folder, Place(epoch=5)).stat().st_size) for epoch in range(1, 6)
    ]


def test_epochs_shorter_than_the_interval_share_one_and_the_last_is_written_in_any_case(tmp_path: Path):
    clock, said = Clock(), list[Said]()
    with Keeper(tmp_path, 60, said.append, clock) as keeper:
        clock.now += 1000  # the framework is imported
        keeper.begin()
        for epoch in range(1, 12):
            clock.now += 25
            keeper.epoch_ended(at(epoch), is_last=epoch == 11)
            keeper._collect()
    assert [event.epoch for event in said if isinstance(event, CheckpointSaved)] == [3, 6, 9, 11]


def test_a_stop_writes_at_once_what_is_not_on_the_disk_yet(tmp_path: Path):
    said: list[Said] = []
    with Keeper(tmp_path, 60, said.append) as keeper:
        keeper.stopped(at(0, 0))  # nothing has happened
        assert said == []
        keeper.stopped(at(0, 7))
        assert [position(path) for path in listing(tmp_path)] == [(0, 7)]
    with Keeper(tmp_path, 60, said.append) as keeper:
        found = keeper.newest()
        assert found is not None
        assert (found.facts.place.epoch, found.facts.place.step) == (0, 7)
        keeper.stopped(at(0, 7))
        assert len(said) == 1
        keeper.stopped(at(3, 9))
    assert [(one.epoch, one.step) for one in said if isinstance(one, CheckpointSaved)] == [(0, 7), (3, 9)]


def test_a_slow_disk_holds_up_no_epoch_but_the_last(tmp_path: Path):
    """The listener is as slow as a disk: it is told in the thread that writes."""
    goes_on, said = threading.Event(), list[Said]()

    def say(event: Said) -> None:
        said.append(event)
        goes_on.wait(30)

    with Keeper(tmp_path, 0, say) as keeper:
        for epoch in range(1, 5):
            keeper.improved(at(epoch))
            keeper.epoch_ended(at(epoch), is_last=False)
        while not said:
            pass
        threading.Timer(0.2, goes_on.set).start()
        keeper.epoch_ended(at(5), is_last=True)
        assert [one.epoch for one in said if isinstance(one, CheckpointSaved)] == [1, 5]
        assert is_the(read(tmp_path / BEST), 4, only_weights=True)


def test_without_a_folder_nothing_is_kept_and_nobody_looks_at_the_device():
    said: list[Said] = []

    def never() -> Checkpoint:
        raise AssertionError

    with Keeper(None, 0, said.append) as keeper:
        assert keeper.newest() is None
        keeper.improved(never)
        keeper.epoch_ended(never, is_last=True)
        keeper.stopped(never)
        keeper.note("recipe.json", "{}")
    assert said == []


def test_a_damaged_one_is_passed_over_and_makes_room(tmp_path: Path):
    for epoch in (1, 2):
        write(path_in(tmp_path, Place(epoch=epoch)), at(epoch)())
    path = path_in(tmp_path, Place(epoch=2))
    path.write_bytes(path.read_bytes()[:-5])
    with Keeper(tmp_path, 0, lambda _: None) as keeper:
        found = keeper.newest()
    assert found is not None
    assert is_the(found, 1, only_weights=True)
    assert [position(path) for path in listing(tmp_path)] == [(1, 0)]


@pytest.mark.parametrize(("waits", "becomes"), [(2, 2), (3, None)])
def test_best_weights_are_never_newer_than_the_checkpoint(tmp_path: Path, waits: int, becomes: int | None):
    """Killed after its checkpoint they are put in place; killed before it, their epoch is trained again."""
    write(path_in(tmp_path, Place(epoch=2)), made_at(2))
    write(tmp_path / NEXT_BEST, at(waits)())
    with Keeper(tmp_path, 0, lambda _: None) as keeper:
        keeper.newest()
    assert (tmp_path / BEST).exists() == (becomes is not None)
    assert not (tmp_path / NEXT_BEST).exists()


def test_two_trainers_do_not_share_a_folder(tmp_path: Path):
    with Keeper(tmp_path, 0, lambda _: None), pytest.raises(FolderUnusable, match="another trainer"):
        Keeper(tmp_path, 0, lambda _: None)
    with Keeper(tmp_path, 0, lambda _: None):
        pass


def test_a_folder_that_cannot_be_made_has_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"cannot be used: .*exists|cannot be used: Not a directory"):
        Keeper(tmp_path / "file", 0, lambda _: None)


def test_a_listener_that_is_gone_ends_the_run_and_not_the_thread_alone(tmp_path: Path):
    def say(event: Said) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), Keeper(tmp_path, 0, say) as keeper:
        keeper.epoch_ended(at(1), is_last=False)


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
    """What a power cut leaves cannot be tried here; it follows from this order."""
    new = path_in(tmp_path, Place(epoch=system_calls.WRITTEN)).name
    old = path_in(tmp_path, Place(epoch=system_calls.BEFORE - 1)).name
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


def test_a_full_disk_is_said_and_what_was_there_stays_good(small_disk: Path):
    said: list[Said] = []
    with Keeper(small_disk, 0, said.append) as keeper:
        for epoch in (1, 2):
            keeper.epoch_ended(lambda epoch=epoch: made_at(epoch), is_last=True)  # type: ignore[misc]
        left = shutil.disk_usage(small_disk).free
        (small_disk / "other").write_bytes(bytes(left - 6_000_000))  # written in part before the disk is full
        keeper.improved(at(3))
        keeper.epoch_ended(lambda: made_at(3), is_last=True)
        assert isinstance(said[-1], CheckpointFailed)
        assert "No space left on device" in said[-1].message
        assert not list(small_disk.glob("*.part"))
        found = newest(small_disk)
        assert found is not None
        assert is_the(found, 2)
        (small_disk / "other").unlink()
        keeper.epoch_ended(lambda: made_at(4), is_last=True)
        assert isinstance(said[-1], CheckpointSaved)
    found = newest(small_disk)
    assert found is not None
    assert is_the(found, 4)
    assert is_the(read(small_disk / BEST), 3, only_weights=True)
