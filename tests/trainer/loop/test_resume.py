"""A run that was stopped or killed, however often, ends with the same bits as an uninterrupted one, on a CPU."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from trainer.events import BaseEvent, CheckpointSaved, EpochEnded, Evidence, Finished, Started, Step
from trainer.failures import CannotTrain, Stopped
from trainer.loop.checkpoint_file import (
    checkpoint_path,
    list_checkpoints,
    parse_position,
    read_checkpoint,
    write_checkpoint,
)
from trainer.loop.train import train
from trainer.protocol import BEST
from trainer.recipe import Recipe

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("tensorflow")]
thorough = pytest.mark.thorough

# Everything that has a state of its own or draws at random: dropout, batch norm, augmentation, mixup, averages.
EVERYTHING: dict[str, Any] = {
    "dataset": {"train_limit": 120, "val_limit": 40},
    "model": {"width": 4, "dropout": 0.3},
    "schedule": {"kind": "triangular", "base_lr": 0.001, "max_lr": 0.05, "step_epochs": 2},
    "augment": [{"op": "pad_crop"}, {"op": "flip"}, {"op": "cutout"}],
    "mixup": {"pairing": "permute"},
    "ema": {"decay": 0.9, "every": 2},
    "batch_size": 16,
    "epochs": 4,
}
STEPS, SLICES = 8, 3  # of an epoch: training, and validation in batches of 16
ASKED = 2 + STEPS + SLICES  # how often `stop` is asked until the first epoch is over: twice while everything is built
# The rest: pictures changed once, whitening, ghost batches, pairs of a double batch, decay apart from the gradient.
ONCE: dict[str, Any] = {
    "dataset": {"train_limit": 120, "val_limit": 40},
    "model": {"width": 4, "whiten": True, "ghost_batch": 8, "activation": "celu"},
    "optimizer": {"weight_decay": {"kind": "decoupled"}, "bias_rate": 4},
    "schedule": {"kind": "constant", "lr": 0.01},
    "mixup": {"pairing": "disjoint", "when": "after"},
    "augment_when": "once",
    "batch_size": 16,
    "epochs": 2,
}


@dataclass
class Told:
    """All events of a run, over its attempts; a repeated row replaces the earlier one."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    started: list[tuple[int, int]] = field(default_factory=list)
    attempts: list[list[BaseEvent]] = field(default_factory=list)

    def hear(self, said: Sequence[BaseEvent]) -> None:
        self.attempts.append([event for event in said if not isinstance(event, Step)])
        for event in said:
            if isinstance(event, Started):
                self.started.append((event.resumed_from_epoch, event.resumed_at_step))
                assert [fact for fact in event.differs if "commit: " not in fact] == []  # somebody may commit meanwhile
            elif isinstance(event, EpochEnded):
                self.rows[event.epoch] = without_times(event.model_dump(mode="json"))


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    """Without measured times."""
    return {key: row[key] for key in row if not key.endswith("seconds") and key not in {"busy", "memory_bytes"}}


def attempt(knobs: dict[str, Any], folder: Path, stop: int | None, every_s: float = 0, **more: Any) -> list[BaseEvent]:
    """Train until the `stop`-th call of stop() (from 0), or to the end."""
    asked, said = itertools.count(), list[BaseEvent]()

    def stopping() -> bool:
        return stop is not None and next(asked) >= stop

    recipe = Recipe.model_validate(knobs)
    try:
        train(recipe, said.append, folder, stopping, 0, folder=folder, every_s=every_s, evaluation_batch=16, **more)
    except Stopped:
        assert stop is not None
    return said


def in_attempts(knobs: dict[str, Any], folder: Path, stops: Sequence[int], every_s: float = 0) -> Told:
    """Stop once for each of `stops`, then run to the end."""
    told = Told()
    for stop in [*stops, None]:
        told.hear(said := attempt(knobs, folder, stop, every_s))
        if isinstance(said[-1], Finished):
            break
    return told


def ending(folder: Path) -> dict[str, bytes]:
    """The contents of the last checkpoint and of the best weights, byte by byte."""
    last = list_checkpoints(folder)[0]
    assert parse_position(last)[1] == 0
    return {
        f"{path.name} {name}": array.tobytes()
        for path in (last, folder / BEST)
        for name, array in read_checkpoint(path).tensors.items()
    }


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("left_alone")
    told = in_attempts(EVERYTHING, folder, [])
    return told, ending(folder)


def is_as_left_alone(told: Told, folder: Path, left_alone: tuple[Told, dict[str, bytes]]) -> None:
    alone, bits = left_alone
    assert told.rows == alone.rows
    assert sorted(alone.rows) == [1, 2, 3, 4]
    ended = ending(folder)
    assert [name for name in bits if ended.get(name) != bits[name]] == []
    assert ended.keys() == bits.keys()


@pytest.mark.parametrize("times", [pytest.param(1, marks=thorough), 3, pytest.param(5, marks=thorough)])
def test_stopped_at_random_steps_it_ends_with_the_same_bits(tmp_path: Path, times: int, left_alone):
    draw = random.Random(times)
    stops = [draw.randrange(3, 4 * (STEPS + SLICES) // times + 2) for _ in range(times)]
    told = in_attempts(EVERYTHING, tmp_path, stops, every_s=draw.choice([0, 60]))
    assert len(told.started) == times + 1
    assert len(set(told.started)) == times + 1
    is_as_left_alone(told, tmp_path, left_alone)


@pytest.mark.parametrize(
    ("stop", "stands"),
    [
        pytest.param(2, None, marks=thorough),  # before the first step: there is nothing to keep
        pytest.param(3, (0, 1), marks=thorough),
        pytest.param(2 + STEPS, (0, STEPS), marks=thorough),  # all steps done, no picture validated
        (2 + STEPS + 2, (0, STEPS)),  # in the middle of the validation, averages in place of the weights
        (ASKED, (1, 0)),  # before the first step of the second epoch
        pytest.param(ASKED + 5, (1, 5), marks=thorough),
    ],
)
def test_wherever_it_is_stopped_it_resumes_there(tmp_path: Path, stop: int, stands: Any, left_alone):
    told = in_attempts(EVERYTHING, tmp_path, [stop], every_s=3600)
    saved = [(event.epoch, event.step) for event in told.attempts[0] if isinstance(event, CheckpointSaved)]
    assert saved == ([stands] if stands else [])
    assert told.started == [(0, 0), stands or (0, 0)]
    measured = [event.epoch for event in told.attempts[1] if isinstance(event, Evidence)]
    assert measured == [epoch for epoch in (1, 2) if (epoch - 1, 0) >= (stands or (0, 0))]
    is_as_left_alone(told, tmp_path, left_alone)


def test_images_that_are_augmented_once_are_augmented_again_in_each_attempt(tmp_path: Path):
    alone = in_attempts(ONCE, tmp_path / "alone", [])
    told = in_attempts(ONCE, tmp_path / "stopped", [5, 9])
    assert told.started == [(0, 0), (0, 2), (1, 2)]
    assert told.rows == alone.rows
    assert ending(tmp_path / "stopped") == ending(tmp_path / "alone")
    rows = [event for said in told.attempts for event in said if isinstance(event, EpochEnded)]
    assert [row.compile_seconds > 0 for row in rows] == [True, True]  # the first row of each attempt has it
    for row in rows:
        assert 0 < row.input_seconds < row.seconds


def test_time_spent_before_a_stop_counts(tmp_path: Path):
    attempt(EVERYTHING, tmp_path, 2 + STEPS)
    place = read_checkpoint(list_checkpoints(tmp_path)[0]).metadata.place
    assert (place.epoch, place.step) == (0, STEPS)
    [first] = [event for event in attempt(EVERYTHING, tmp_path, ASKED - STEPS) if isinstance(event, EpochEnded)]
    assert first.epoch == 1
    assert place.seconds <= first.seconds < place.seconds + 1  # no step was left: only the look at the sums
    assert place.seconds > place.input_seconds > 0


def test_a_run_that_is_over_says_so_again_and_trains_nothing(tmp_path: Path, left_alone):
    in_attempts(EVERYTHING, tmp_path, [])
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "recipe.json"}
    said = [event for event in attempt(EVERYTHING, tmp_path, None, known=2) if not isinstance(event, Step)]
    assert [type(event) for event in said] == [Started, EpochEnded, EpochEnded, Finished]
    again = Told()
    again.hear(said)
    assert again.started == [(4, 0)]
    assert again.rows == {epoch: left_alone[0].rows[epoch] for epoch in (3, 4)}
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "recipe.json"} == before


@pytest.fixture(scope="module")
def in_the_third(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EpochEnded]]:
    """A run that was stopped in its third epoch, and its rows so far."""
    folder = tmp_path_factory.mktemp("in_the_third")
    said = attempt(EVERYTHING, folder, 2 + 2 * (STEPS + SLICES) + 1)
    assert parse_position(list_checkpoints(folder)[0]) == (2, 1)
    return folder, [event for event in said if isinstance(event, EpochEnded)]


@pytest.mark.parametrize(("known", "again"), [(None, []), (0, [1, 2]), (1, [2]), (7, [])])
def test_rows_that_whoever_listens_does_not_have_are_said_again(in_the_third, known: int | None, again: list[int]):
    folder, rows = in_the_third
    said = [event for event in attempt(EVERYTHING, folder, 2, known=known) if not isinstance(event, Step)]
    assert isinstance(said[0], Started)
    assert said[1:] == [rows[epoch - 1] for epoch in again]


def test_what_is_not_as_it_was_where_the_checkpoint_was_made_is_said(in_the_third, tmp_path: Path):
    whole = read_checkpoint(list_checkpoints(in_the_third[0])[0])
    elsewhere = {**whole.metadata.environment, "tensorflow": "2.1.0", "cpus": 4096, "driver": "550.1"}
    write_checkpoint(
        checkpoint_path(tmp_path, whole.metadata.place),
        replace(whole, metadata=replace(whole.metadata, environment=elsewhere)),
    )
    [started] = [event for event in attempt(EVERYTHING, tmp_path, 2) if isinstance(event, Started)]
    now = started.environment
    assert [fact for fact in started.differs if "commit: " not in fact] == [
        f"tensorflow: {now['tensorflow']}, was 2.1.0",
        f"driver: {now['driver'] or 'unknown'}, was 550.1",
        f"cpus: {now['cpus']}, was 4096",
    ]


def test_arrays_of_another_model_are_refused(in_the_third, tmp_path: Path):
    whole = read_checkpoint(list_checkpoints(in_the_third[0])[0])
    tensors = {name: array for name, array in whole.tensors.items() if name != "net/Conv1/kernel"}
    write_checkpoint(checkpoint_path(tmp_path, whole.metadata.place), replace(whole, tensors=tensors))
    with pytest.raises(CannotTrain, match="1 of its arrays do not fit, such as net/Conv1/kernel"):
        attempt(EVERYTHING, tmp_path, None)
