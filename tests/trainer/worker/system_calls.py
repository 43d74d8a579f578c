"""Interrupts a checkpoints of checkpoints at each system call of its writing: the process is killed there, or it fails.

    kills(folder)               what is found after a kill at each of them
    faults(folder, "ENOSPC")    the same for each call that may fail for want of room or by a broken disk

strace attaches when everything is imported, so its counts begin with the writing. Used by tests and by longer
harnesses; must not need an ML framework.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.events import BaseEvent, CheckpointFailed, CheckpointSaved
from trainer.failures import CheckpointDamaged
from trainer.loop.checkpoint_file import (
    Checkpoint,
    Metadata,
    RunPosition,
    checkpoint_path,
    list_checkpoints,
    read_checkpoint,
    read_newest,
    write_checkpoint,
)
from trainer.loop.checkpoints import Checkpoints
from trainer.protocol import BEST

FORKS = multiprocessing.get_context("forkserver")  # imports once, then forks: a process for each call
FORKS.set_forkserver_preload([__name__, "safetensors.numpy"])
EVERY_CALL = "%file,%desc"  # what takes a path or a descriptor
MAY_FAIL = ("openat", "write", "fsync", "rename", "close", "unlink")
BEFORE, WRITTEN, AFTERWARDS = 2, 3, 4  # epochs: on the disk already, written under strace, written after a fault


@dataclass
class Outcomes:
    """Of one kind of interruption, over all points."""

    points: int = 0
    survived: int = 0  # a whole checkpoint was found, and the right best weights with it
    refused: int = 0  # faults that were said, so that the run went on with the older one
    found: Counter[int] = field(default_factory=Counter)  # epoch of the newest checkpoint afterwards
    calls: Counter[str] = field(default_factory=Counter)  # points by system call
    lost: list[str] = field(default_factory=list)  # points that were not survived, and why


def is_possible() -> bool:
    """Whether strace is here and may attach to a process."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        asked = ["strace", "-o", "/dev/null", "-p", str(sleeper.pid)]
        with subprocess.Popen(asked, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            is_attached = "attached" in tracer.stderr.readline()
            tracer.terminate()
        sleeper.kill()
    return is_attached


def kills(folder: Path) -> Outcomes:
    """Kill the writing at each of its system calls, one process per call."""
    outcomes = Outcomes()
    for call, nth in points(folder, EVERY_CALL):
        place = _place(folder)
        with _writer(place, call, f"signal=SIGKILL:when={nth}") as writer:
            writer.go()
            writer.process.join(timeout=60)
            was_killed = writer.process.exitcode == -signal.SIGKILL
        if was_killed:  # else the call was not made this time
            _judge(outcomes, place, call, nth, {BEFORE, WRITTEN})
    return outcomes


def faults(folder: Path, error: str) -> Outcomes:
    """Have each call of the writing fail once, with this error; the process goes on and writes again later."""
    outcomes = Outcomes()
    for call, nth in points(folder, ",".join(MAY_FAIL)):
        place = _place(folder)
        with _writer(place, call, f"error={error}:when={nth}") as writer:
            said, stands_at = writer.go(), _epoch(place)
            if not writer.was_injected():
                continue
            again = writer.go()
        kind, wrong = said.get("event"), ""
        if kind == "not_saved" and stands_at not in {BEFORE, WRITTEN}:
            wrong = f"epoch {stands_at} was left"
        elif kind == "not_saved" and not re.search("No space left|Input/output", said["message"]):
            wrong = f"it was said that {said['message']}"
        elif kind == "checkpoint" and stands_at != WRITTEN:
            wrong = f"it was said to be saved, and epoch {stands_at} was there"
        elif kind is None:
            wrong = "the writer ended"
        elif again.get("event") != "checkpoint":
            wrong = "the next one was not written either"
        _judge(outcomes, place, call, nth, {AFTERWARDS}, wrong)
        outcomes.refused += kind == "not_saved"
    return outcomes


def points(folder: Path, calls: str) -> list[tuple[str, int]]:
    """Each system call of an undisturbed writing, as (name, how many of that name its thread has made with it)."""
    place = _place(folder)
    with _writer(place, calls) as writer:
        assert writer.go().get("event") == "checkpoint"
        lines = writer.trace()
    made = Counter(found.groups() for line in lines if (found := re.match(r"(\d+)\s+(\w+)\(", line)))
    most: dict[str, int] = {}
    for (_, name), count in made.items():
        most[name] = max(most.get(name, 0), count)
    return [(name, nth) for name, count in sorted(most.items()) for nth in range(1, count + 1)]


def sequence(folder: Path) -> list[str]:
    """What an undisturbed writing does to which file, in order: what a power cut may leave follows from it."""
    place = _place(folder)
    with _writer(place, "openat,write,fsync,rename,unlink") as writer:
        assert writer.go().get("event") == "checkpoint"
        lines = writer.trace()
    opened: dict[str, str] = {}
    done: list[str] = []
    for line in lines:
        if not (found := re.match(r"\d+\s+(\w+)\((.*)\)\s+= (\d+)", line)):
            continue
        call, given, answer = found.groups()
        paths = [
            Path(path).name.rpartition(f".{writer.pid}")[0] or Path(path).name for path in re.findall('"(.*?)"', given)
        ]
        if call == "openat":
            opened[answer] = paths[0]
            continue
        names = paths if call in {"rename", "unlink"} else [opened.get(given.partition(",")[0], "?")]
        if (step := f"{call} {' '.join(names)}") not in done[-1:]:
            done.append(step)
    return done


def made_at(epoch: int, *, only_weights: bool = False) -> Checkpoint:
    """A checkpoint that is told from all others by its numbers. Written in several calls; the best epoch is its own."""
    parts = np.random.default_rng(epoch).random((1 if only_weights else 7, 314_000), dtype=np.float32)
    tensors: dict[str, NDArray[Any]] = {f"net/{number}": part for number, part in enumerate(parts)}
    tensors["optimizer/iteration"] = np.asarray(np.int64(epoch))
    return Checkpoint(Metadata(RunPosition(epoch=epoch, best_epoch=epoch), {}, "f" * 64, {}), tensors)


def is_the(found: Checkpoint, epoch: int, *, only_weights: bool = False) -> bool:
    wanted = made_at(epoch, only_weights=only_weights)
    return found.metadata == wanted.metadata and all(
        np.array_equal(found.tensors[name], array) for name, array in wanted.tensors.items()
    )


def _judge(outcomes: Outcomes, place: Path, call: str, nth: int, allowed: set[int], known: str = "") -> None:
    """What the next process finds, before and after `Checkpoints` cleaned up. `known`: a problem found earlier."""
    outcomes.points += 1
    outcomes.calls[call] += 1
    wrong = [known] if known else []
    for path in list_checkpoints(place):
        try:
            read_checkpoint(path)
        except CheckpointDamaged as problem:
            wrong.append(f"what bears a checkpoint's name is none: {problem}")
    before = read_newest(place)
    with Checkpoints(place, 0, lambda _: None) as checkpoints:
        found = checkpoints.load_newest()
    best = read_checkpoint(place / BEST)
    if found is None or before is None or before.metadata != found.metadata:
        wrong.append("no checkpoint is left, or another after tidying up")
    else:
        epoch = found.metadata.place.epoch
        outcomes.found[epoch] += 1
        if epoch not in allowed or not is_the(found, epoch):
            wrong.append(f"epoch {epoch} is found, and it is not what was written")
        if not is_the(best, epoch, only_weights=True):
            wrong.append(f"the best weights are those of epoch {best.metadata.place.epoch}, not {epoch}")
    extra = (
        {path.name for path in place.iterdir()}
        - {checkpoint_path(place, RunPosition(epoch=n)).name for n in range(9)}
        - {BEST}
    )
    if extra:
        wrong.append(f"{extra} is left behind")
    outcomes.survived += not wrong
    outcomes.lost += [f"{call} {nth}: {text}" for text in wrong]


def _epoch(place: Path) -> int:
    found = read_newest(place)
    return found.metadata.place.epoch if found else 0


def _place(folder: Path) -> Path:
    """A folder with two checkpoints and their best weights in it, linked from those written once."""
    template, place = folder / "template", folder / "place"
    if not template.exists():
        template.mkdir(parents=True)
        for epoch in (BEFORE - 1, BEFORE):
            write_checkpoint(checkpoint_path(template, RunPosition(epoch=epoch)), made_at(epoch))
        write_checkpoint(template / BEST, made_at(BEFORE, only_weights=True))
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for path in template.iterdir():
        os.link(path, place / path.name)
    return place


class _Writer:
    """The process that writes, with strace attached to it."""

    def __init__(self, process: BaseProcess, line: Connection, log: Path) -> None:
        self.process, self._line, self._log = process, line, log
        self.pid = process.pid

    def go(self) -> dict[str, Any]:
        """Let it write one checkpoint; answers what its checkpoints said, nothing where it died."""
        try:
            self._line.send_bytes(b"go")
            return dict(json.loads(self._line.recv_bytes()))
        except (EOFError, OSError):
            return {}

    def trace(self) -> list[str]:
        return self._log.read_text().splitlines()

    def was_injected(self) -> bool:
        return any("(INJECTED)" in line for line in self.trace())


@contextmanager
def _writer(place: Path, calls: str, inject: str | None = None) -> Iterator[_Writer]:
    log = place.parent / "trace"
    ours, theirs = multiprocessing.Pipe()
    process = FORKS.Process(target=_write_when_told, args=(place, theirs))
    process.start()
    theirs.close()
    assert ours.recv_bytes() == b"ready"
    expressions = ["-e", f"trace={calls}", *(["-e", f"inject={calls}:{inject}"] if inject else [])]
    traced = ["strace", "-f", "-o", str(log), *expressions, "-p", str(process.pid)]
    with subprocess.Popen(traced, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        try:
            yield _Writer(process, ours, log)
        finally:
            process.kill()
            process.join()
            process.close()
            ours.close()


def _write_when_told(folder: Path, line: Connection) -> None:
    """The process: told to, it writes a checkpoint. It answers by writev, which nobody makes fail."""

    def answer(text: bytes) -> None:
        os.writev(line.fileno(), [struct.pack("!i", len(text)), text])

    said: list[BaseEvent] = []
    with Checkpoints(folder, 0, said.append) as checkpoints:
        assert checkpoints.load_newest() is not None
        made = {epoch: (made_at(epoch), made_at(epoch, only_weights=True)) for epoch in (WRITTEN, AFTERWARDS)}
        answer(b"ready")
        for epoch in (WRITTEN, AFTERWARDS):
            line.recv_bytes()
            everything, weights = made[epoch]
            checkpoints.hold_best(lambda weights=weights: weights)  # type: ignore[misc]
            checkpoints.save_if_due(lambda everything=everything: everything, is_last=True)  # type: ignore[misc]
            [event] = [one for one in said if isinstance(one, CheckpointSaved | CheckpointFailed)]
            said.clear()
            answer(event.model_dump_json().encode())
        line.recv_bytes()  # until it is killed
