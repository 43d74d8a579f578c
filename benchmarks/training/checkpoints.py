"""The cost of a checkpoint of the full model: how long training waits, and what runs in the background."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, median, percentile
from benchmarks.pace import FULL, Pace
from trainer.engine.interface import HostBatch
from trainer.events import BaseEvent, CheckpointSaved
from trainer.loop.checkpoint_file import Checkpoint, Metadata, RunPosition, list_checkpoints, read_checkpoint
from trainer.loop.checkpoints import Checkpoints
from trainer.loop.divergence import refuse_broken_state
from trainer.recipe import Recipe

ROUNDS = 25
HICCUP_S = 0.0005  # shorter gaps are the loop itself
BAR = "≤ 200 ms, 2 % of a 10-second epoch"


def measure(folder: Path, pace: Pace = FULL) -> list[Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        from trainer.engine.backend import open_backend

        opened = open_backend("tensorflow")
        from trainer.engine.engine import KerasEngine

    recipe = Recipe.model_validate({"model": {"width": pace.amount(64, 8)}})
    engine = KerasEngine(opened, recipe, 10, np.full(100, 0.01, np.float32))
    engine.step(HostBatch(np.zeros((8, 32, 32, 3), np.float32), np.arange(8)))
    metadata = Metadata(RunPosition(), recipe.model_dump(mode="json"), "0" * 64, {})

    looks, stands, whole, used = list[float](), list[float](), list[float](), list[float]()
    said: list[BaseEvent] = []
    with Checkpoints(folder, 0, said.append) as checkpoints:
        for epoch in range(1, pace.amount(ROUNDS, 1) + 1):

            def everything(epoch: int = epoch) -> Checkpoint:
                made = Checkpoint(replace(metadata, place=RunPosition(epoch=epoch)), engine.state())
                refuse_broken_state(recipe, made.tensors)
                return made

            said.clear()
            began, cpu = time.perf_counter(), time.process_time()
            checkpoints.hold_best(lambda: Checkpoint(metadata, engine.weights()))
            checkpoints.save_if_due(everything, is_last=False)
            looks.append(time.perf_counter() - began)
            missed, own, took = _missed_until(lambda: bool(said))
            used.append(time.process_time() - cpu - own)
            ends = time.perf_counter() + took
            others, _, _ = _missed_until(lambda ends=ends: time.perf_counter() > ends)  # type: ignore[misc]
            stands.append(looks[-1] + missed - others)
            [event] = said
            assert isinstance(event, CheckpointSaved)
            whole.append(event.seconds)
    size = list_checkpoints(folder)[0].stat().st_size / 1e6
    began = time.perf_counter()
    read_checkpoint(list_checkpoints(folder)[0])
    reading = time.perf_counter() - began
    return [
        Figure(f"checkpoint of {size:.0f} MB and best weights: copying from the device", _milliseconds(looks), "–"),
        Figure("the same, plus slow-down of training while writing", _milliseconds(stands), BAR),
        Figure("the same, CPU time of all threads", _milliseconds(used), "–"),
        Figure("the same, until it is on disk", _milliseconds(whole), "–"),
        Figure("reading and verifying it", f"{1000 * reading:.0f} ms", "–"),
    ]


def _missed_until(is_done: Callable[[], bool]) -> tuple[float, float, float]:
    """A thread that wants to go on, as the training's does: seconds that it could not (because of the writer, or of
    other programs on this machine), its processor time, and seconds in all.
    """
    missed, used, looked = 0.0, time.thread_time(), time.perf_counter()
    began = looked
    while not is_done():
        now = time.perf_counter()
        missed += max(now - looked - HICCUP_S, 0)
        looked = now
    return missed, time.thread_time() - used, looked - began


def _milliseconds(seconds: list[float]) -> str:
    return f"median {1000 * median(seconds):.0f} ms, 95 % below {1000 * percentile(seconds, 0.95):.0f} ms"
