"""The experiment called as a function: what it says, and how it ends early."""

from __future__ import annotations

import itertools
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from trainer.events import EpochEnded, Evidence, Finished, Said, Started, Step
from trainer.failures import Diverged, RecipeMistake, Stopped
from trainer.recipe import Recipe
from trainer.train import train

pytestmark = pytest.mark.keras

SMALL: dict[str, Any] = {
    "dataset": {"train_limit": 110, "val_limit": 30},
    "model": {"width": 2},
    "batch_size": 50,
    "epochs": 2,
}


@pytest.fixture(scope="module", autouse=True)
def frameworks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        import tensorflow

        assert tensorflow.__version__


def test_a_run_says_started_its_epochs_with_their_evidence_and_finished_in_that_order(tmp_path: Path):
    said: list[Said] = []
    train(Recipe.model_validate(SMALL), said.append, tmp_path, lambda: False)
    assert [type(event) for event in said if not isinstance(event, Step)] == [
        Started, Evidence, EpochEnded, Evidence, EpochEnded, Finished,
    ]  # fmt: skip
    assert not [thread for thread in threading.enumerate() if thread.name in {"feed", "progress"}]


@pytest.mark.parametrize("last_batch", ["keep", "drop"])
def test_the_last_batch_is_trained_on_or_left_out(tmp_path: Path, last_batch: str):
    said: list[Said] = []
    train(Recipe.model_validate({**SMALL, "last_batch": last_batch}), said.append, tmp_path, lambda: False)
    started = next(event for event in said if isinstance(event, Started))
    assert started.steps_per_epoch == (3 if last_batch == "keep" else 2)
    epoch = next(event for event in said if isinstance(event, EpochEnded))
    assert epoch.train_accuracy is not None
    seen = 110 if last_batch == "keep" else 100
    assert epoch.train_accuracy * seen == pytest.approx(round(epoch.train_accuracy * seen))


def test_a_request_to_stop_is_heard_between_two_steps(tmp_path: Path):
    said: list[Said] = []
    asked = itertools.count()
    with pytest.raises(Stopped):
        train(Recipe.model_validate(SMALL), said.append, tmp_path, lambda: next(asked) >= 3)
    assert not any(isinstance(event, EpochEnded | Finished) for event in said)
    assert not [thread for thread in threading.enumerate() if thread.name in {"feed", "progress"}]


def test_a_run_whose_loss_is_no_number_says_that_it_diverged(tmp_path: Path):
    hot = {
        **SMALL,
        "schedule": {"kind": "constant", "lr": 100},
        "optimizer": {"weight_decay": {"value": 1, "on": "all"}},
        "epochs": 50,
    }
    with pytest.raises(Diverged, match="epoch") as caught:
        train(Recipe.model_validate(hot), lambda _: None, tmp_path, lambda: False)
    assert "learning rate" in caught.value.hint


def test_batches_larger_than_the_data_cannot_all_be_dropped(tmp_path: Path):
    with pytest.raises(RecipeMistake, match="batch_size"):
        train(
            Recipe.model_validate({**SMALL, "batch_size": 111, "last_batch": "drop"}),
            lambda _: None,
            tmp_path,
            lambda: False,
        )
