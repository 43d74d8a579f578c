"""train() called as a function: its events, and how it ends early."""

from __future__ import annotations

import itertools
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.events import BaseEvent, EpochEnded, Evidence, Finished, Started, Step
from trainer.failures import Diverged, RecipeMistake, Stopped
from trainer.loop.checkpoint_file import read_newest
from trainer.loop.train import train
from trainer.recipe import Recipe

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("tensorflow")]

SMALL: dict[str, Any] = {
    "dataset": {"train_limit": 110, "val_limit": 30},
    "model": {"width": 2},
    "batch_size": 50,
    "epochs": 2,
}


def test_a_run_says_started_its_epochs_with_their_evidence_and_finished_in_that_order(tmp_path: Path):
    said: list[BaseEvent] = []
    train(Recipe.model_validate(SMALL), said.append, tmp_path, lambda: False)
    assert [type(event) for event in said if not isinstance(event, Step)] == [
        Started, Evidence, EpochEnded, Evidence, EpochEnded, Finished,
    ]  # fmt: skip
    assert not [thread for thread in threading.enumerate() if thread.name in {"feed", "progress"}]


@pytest.mark.parametrize("last_batch", ["keep", "drop"])
def test_the_last_batch_is_trained_on_or_left_out(tmp_path: Path, last_batch: str):
    said: list[BaseEvent] = []
    train(Recipe.model_validate({**SMALL, "last_batch": last_batch}), said.append, tmp_path, lambda: False)
    started = next(event for event in said if isinstance(event, Started))
    assert started.steps_per_epoch == (3 if last_batch == "keep" else 2)
    epoch = next(event for event in said if isinstance(event, EpochEnded))
    assert epoch.train_accuracy is not None
    seen = 110 if last_batch == "keep" else 100
    assert epoch.train_accuracy * seen == pytest.approx(round(epoch.train_accuracy * seen))


def test_a_request_to_stop_is_heard_between_two_steps(tmp_path: Path):
    said: list[BaseEvent] = []
    asked = itertools.count()
    with pytest.raises(Stopped):
        train(Recipe.model_validate(SMALL), said.append, tmp_path, lambda: next(asked) >= 3)
    assert not any(isinstance(event, EpochEnded | Finished) for event in said)
    assert not [thread for thread in threading.enumerate() if thread.name in {"feed", "progress"}]


HOT: dict[str, Any] = {
    **SMALL,
    "schedule": {"kind": "constant", "lr": 100},
    "optimizer": {"weight_decay": {"value": 1, "on": "all"}},
    "epochs": 50,
}


@pytest.mark.parametrize("limit", [None, 1000.0])
def test_a_run_whose_loss_is_not_finite_says_that_it_diverged(tmp_path: Path, limit: float | None):
    recipe = Recipe.model_validate({**HOT, "diverges_at": limit})
    with pytest.raises(Diverged, match="epoch") as caught:
        train(recipe, lambda _: None, tmp_path, lambda: False, folder=tmp_path, every_s=0)
    assert "schedule.lr 50 instead of 100" in caught.value.hint
    kept = read_newest(tmp_path)
    if kept is not None:  # some epochs went well
        assert all(np.isfinite(array).all() for array in kept.tensors.values())


def test_a_loss_that_is_not_finite_is_noticed_within_the_epoch(tmp_path: Path):
    recipe = Recipe.model_validate({**HOT, "batch_size": 2, "dataset": {"train_limit": 600, "val_limit": 30}})
    with pytest.raises(Diverged, match=r"the loss of epoch 1, after \d+ of 300 steps, is not a number"):
        train(recipe, lambda _: None, tmp_path, lambda: False, look_s=0.0)


def test_broken_weights_are_not_kept_when_it_is_asked_to_stop(tmp_path: Path):
    """Found in the weights themselves, before the loss is read."""
    recipe = Recipe.model_validate({**HOT, "batch_size": 2, "dataset": {"train_limit": 600, "val_limit": 30}})
    asked = itertools.count()
    with pytest.raises(Diverged):
        train(recipe, lambda _: None, tmp_path, lambda: next(asked) > 200, folder=tmp_path, look_s=math.inf)
    assert read_newest(tmp_path) is None


def test_batches_larger_than_the_data_cannot_all_be_dropped(tmp_path: Path):
    with pytest.raises(RecipeMistake, match="batch_size"):
        train(
            Recipe.model_validate({**SMALL, "batch_size": 111, "last_batch": "drop"}),
            lambda _: None,
            tmp_path,
            lambda: False,
        )
