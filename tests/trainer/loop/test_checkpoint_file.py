"""The checkpoint file: it is read back exactly as written, and a damaged one is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from trainer.failures import CheckpointDamaged
from trainer.loop.checkpoint_file import (
    Checkpoint,
    Metadata,
    RunPosition,
    checkpoint_path,
    list_checkpoints,
    parse_position,
    read_checkpoint,
    read_newest,
    write_checkpoint,
)

ROW = {"event": "epoch", "epoch": 1, "val_loss": None, "val_accuracy": 1 / 3, "seconds": 1.25}
FACTS = Metadata(
    RunPosition(
        epoch=1, step=3, seconds=0.1 + 0.2, input_seconds=1e-9, best_epoch=1, best_accuracy=1 / 3, history=[ROW]
    ),
    {"seed": 2**32 - 1, "augment": [{"op": "flip", "p": 0.1}], "ema": None},
    "0f" * 32,
    {"device": "cpu", "driver": None, "cpu": "Prozessor ®"},
)
TENSORS: dict[str, NDArray[Any]] = {
    "net/Conv1/kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype(np.float32),
    "net/dropout1/seed_generator_state": np.array([7, 2**40], np.int64),
    "optimizer/iteration": np.asarray(np.int64(41)),
    "sums/training": np.array([1e-300, 0.1, np.pi, 5], np.float64),
    "nothing": np.zeros((0, 4), np.float32),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
}


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return (
        one.metadata == other.metadata
        and one.tensors.keys() == other.tensors.keys()
        and all(
            (one.tensors[name].dtype, one.tensors[name].shape, one.tensors[name].tobytes())
            == (other.tensors[name].dtype, other.tensors[name].shape, other.tensors[name].tobytes())
            for name in one.tensors
        )
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "a"
    assert write_checkpoint(path, Checkpoint(FACTS, TENSORS)) == path.stat().st_size
    assert same(read_checkpoint(path), Checkpoint(FACTS, TENSORS))
    return path.read_bytes()


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path):
    write_checkpoint(tmp_path / "a", Checkpoint(FACTS, TENSORS))
    assert same(read_checkpoint(tmp_path / "a"), Checkpoint(FACTS, TENSORS))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert load_file(tmp_path / "a").keys() == TENSORS.keys()  # others can read it, too


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_byte_that_is_not_as_it_was_is_noticed(whole: bytes, tmp_path_factory: pytest.TempPathFactory, data):
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(damaged)
    try:
        found = read_checkpoint(path)
    except CheckpointDamaged:
        return
    assert same(found, Checkpoint(FACTS, TENSORS))  # a blank of the header became another blank


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_file_that_ends_early_is_noticed(whole: bytes, tmp_path: Path, share: float):
    (tmp_path / "a").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointDamaged):
        read_checkpoint(tmp_path / "a")


def test_what_was_appended_is_noticed(whole: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(whole + b"\0")
    with pytest.raises(CheckpointDamaged):
        read_checkpoint(tmp_path / "a")


def altered(whole: bytes, **text: str) -> bytes:
    """The same arrays under another header."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"] |= text
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + whole[8 + length :]


@pytest.mark.parametrize("text", [{"facts": "{}"}, {"sha256": "0" * 64}, {"format": "pitwall-checkpoint-2"}])
def test_facts_that_are_not_those_that_were_written_are_noticed(whole: bytes, tmp_path: Path, text: dict[str, str]):
    (tmp_path / "a").write_bytes(altered(whole))
    read_checkpoint(tmp_path / "a")
    (tmp_path / "a").write_bytes(altered(whole, **text))
    with pytest.raises(CheckpointDamaged):
        read_checkpoint(tmp_path / "a")


class Runs:
    """Unpickled, it would leave a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_other_files_are_refused_and_nothing_in_them_is_run(tmp_path: Path):
    trace = tmp_path / "trace"
    (tmp_path / "pickle").write_bytes(pickle.dumps(Runs(trace)))
    np.save(tmp_path / "array.npy", np.array([Runs(trace)], object), allow_pickle=True)
    save_file(TENSORS | {"transposed": np.zeros(1)}, tmp_path / "foreign", {"format": "pt"})
    save_file({"a": np.zeros(1)}, tmp_path / "bare")
    (tmp_path / "huge").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "bomb").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "folder").mkdir()
    files = sorted(path for path in tmp_path.iterdir())
    assert len(files) == 7
    for path in [*files, tmp_path / "absent"]:
        with pytest.raises(CheckpointDamaged, match=path.name):
            read_checkpoint(path)
    assert not trace.exists()


def test_the_newest_whole_one_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert read_newest(tmp_path / "absent") is None
    assert read_newest(tmp_path) is None
    for epoch, step in [(9, 0), (10, 0), (10, 7), (100_000, 1_000_000), (2, 0)]:
        place = RunPosition(epoch=epoch, step=step)
        write_checkpoint(checkpoint_path(tmp_path, place), Checkpoint(replace(FACTS, place=place), TENSORS))
    for other in ("best.safetensors", "checkpoint-00011-000000.safetensors.77.part", "checkpoint-12-0.safetensors"):
        (tmp_path / other).write_bytes(b"no checkpoint")
    order = [(100_000, 1_000_000), (10, 7), (10, 0), (9, 0), (2, 0)]
    assert [parse_position(path) for path in list_checkpoints(tmp_path)] == order
    for epoch, step in order:
        found = read_newest(tmp_path)
        assert found is not None
        assert (found.metadata.place.epoch, found.metadata.place.step) == (epoch, step)
        path = checkpoint_path(tmp_path, found.metadata.place)
        path.write_bytes(path.read_bytes()[:-1])
    assert read_newest(tmp_path) is None
    assert f"{checkpoint_path(tmp_path, RunPosition(epoch=10)).name} cannot be read" in caplog.text
    assert len(list_checkpoints(tmp_path)) == 5
    assert read_newest(tmp_path, drop_damaged=True) is None
    assert list_checkpoints(tmp_path) == []


def test_other_names_have_no_position(tmp_path: Path):
    with pytest.raises(ValueError, match="best"):
        parse_position(tmp_path / "best.safetensors")


def test_who_only_looks_at_names_imports_no_arrays():
    heavy = {"numpy", "pydantic", "safetensors", "tensorflow"}
    program = f"import sys, trainer.loop.checkpoint_file; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
