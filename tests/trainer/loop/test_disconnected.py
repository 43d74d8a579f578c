"""Real runs in which one setting at a time has no effect. The evidence must show it.

Each cut is a mistake that training code has really made: an operation that does nothing, a mixup that is never
called, a decay that is added to a local name, draws made once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.loop.planted_faults import plant
from trainer.augment import host, selections
from trainer.augment.draws import Params
from trainer.augment.pipeline import Pipeline
from trainer.events import BaseEvent, Evidence
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Operation
from trainer.recipe.evidence import check_evidence

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600), pytest.mark.usefixtures("tensorflow")]
thorough = pytest.mark.thorough

ALL: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 130, "val_limit": 20},
    "model": {"width": 2},
    "schedule": {"kind": "piecewise", "knots": [[0, 0.02], [1, 0.05], [2, 0.01]]},
    "optimizer": {"weight_decay": {"kind": "l2", "value": 0.01}},
    "loss": {"label_smoothing": 0.1},
    "augment": [
        {"op": "rotate"},
        {"op": "flip"},
        {"op": "pad"},
        {"op": "crop"},
        {"op": "pad_crop"},
        {"op": "blur", "p": 1, "sigma_l": 0.6, "sigma_h": 1.0},
        {"op": "cutout", "p": 1},
        {"op": "cutout_square"},
    ],
    "mixup": {"pairing": "permute"},
    "normalize": "0..1",
    "batch_size": 50,
    "epochs": 2,
}


def codes(folder: Path, **changes: Any) -> set[tuple[str, str]]:
    """The codes that the evidence of two epochs of a real run gives."""
    from trainer.loop.train import train

    recipe = Recipe.model_validate({**ALL, **changes})
    said: list[BaseEvent] = []
    train(recipe, said.append, folder, lambda: False, processes=0)
    evidence = [event for event in said if isinstance(event, Evidence)]
    assert [one.epoch for one in evidence] == [1, 2]
    return {(one.code, one.path) for one in check_evidence(recipe, evidence, 130, 10)}


def test_nothing_is_found_where_everything_is_connected(tmp_path: Path):
    assert codes(tmp_path) == set()


@pytest.mark.parametrize("kind", [pytest.param("coupled", marks=thorough), "decoupled"])
def test_nothing_is_found_with_the_other_decays_either(tmp_path: Path, kind: str):
    assert codes(tmp_path, optimizer={"weight_decay": {"kind": kind, "value": 0.01}}) == set()


@pytest.mark.parametrize("position", [*(pytest.param(one, marks=thorough) for one in (0, 1, 5, 7)), 4, 6])
def test_an_operation_that_does_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int):
    cut = ALL["augment"][position]["op"]
    really: Callable[..., Any] = host.apply_operation

    def changed(pictures: np.ndarray, operation: Operation, drawn: Params) -> np.ndarray:
        return pictures if operation.op == cut else really(pictures, operation, drawn)

    plant(monkeypatch, "trainer.augment.host.apply_operation", changed)
    assert ("no_effect", f"augment.{position}") in codes(tmp_path)


def test_mixup_that_is_never_called_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    really = selections.list_selections

    def unmixed(recipe: Recipe, images: int, epoch: int) -> list[selections.Selection]:
        return [selections.Selection(one.pictures) for one in really(recipe, images, epoch)]

    plant(monkeypatch, "trainer.loop.epoch.list_selections", unmixed)
    found = codes(tmp_path)
    assert {("no_effect", "mixup"), ("labels_not_mixed", "mixup")} <= found


def test_labels_that_stay_hard_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch, "trainer.loop.batches.batch_labels", lambda one, labels, classes: labels[one.pictures])
    assert ("labels_not_mixed", "mixup") in codes(tmp_path)


def test_operations_that_the_batches_of_the_run_do_not_get_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Preview and measurement are right, but training uses other batches."""

    def plain(pipeline: Pipeline, epoch: int, selection: selections.Selection) -> np.ndarray:
        return pipeline.evaluation(pipeline.images[selection.pictures])

    plant(monkeypatch, "trainer.augment.pipeline.Pipeline.batch", plain)
    assert ("another_batch", "augment") in codes(tmp_path)


def test_draws_that_are_made_once_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Like a function that is traced once and so draws once."""
    really = Pipeline.epoch_params
    plant(monkeypatch, "trainer.augment.pipeline.Pipeline.epoch_params", lambda pipeline, _epoch: really(pipeline, 1))
    assert ("drawn_once", "augment_when") in codes(tmp_path, mixup=None)


def test_images_that_should_be_augmented_once_and_are_each_epoch_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plant(monkeypatch, "trainer.augment.loader_pool.LoaderPool.change_once", lambda *_: None)
    really = Pipeline.epoch_params

    def forgetful(pipeline: Pipeline, epoch: int) -> Any:
        pipeline.recipe = pipeline.recipe.model_copy(update={"augment_when": "each_epoch"})
        return really(pipeline, epoch)

    plant(monkeypatch, "trainer.augment.pipeline.Pipeline.epoch_params", forgetful)
    found = codes(tmp_path, mixup=None, augment_when="once")
    assert ("drawn_again", "augment_when") in found


@pytest.mark.parametrize("kind", [pytest.param("l2", marks=thorough), "coupled"])
def test_a_decay_that_is_added_to_a_local_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    """`for g, v in zip(grads, weights): g += v * wd`, as the notebook of the original experiment had it."""
    plant(monkeypatch, "trainer.engine.train_step.GRADIENT_FACTOR", {"l2": 0.0, "coupled": 0.0})
    found = codes(tmp_path, optimizer={"weight_decay": {"kind": kind, "value": 0.01}})
    assert ("no_decay", "optimizer.weight_decay") in found


def test_a_decoupled_decay_that_touches_no_weight_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from trainer.engine.engine import KerasEngine

    really = KerasEngine.compile

    def forgetful(engine: Any, *sizes: Any) -> None:
        decayed, engine.train_step.decayed = engine.train_step.decayed, []
        really(engine, *sizes)
        engine.train_step.decayed = decayed

    plant(monkeypatch, "trainer.engine.engine.KerasEngine.compile", forgetful)
    found = codes(tmp_path, optimizer={"weight_decay": {"kind": "decoupled", "value": 0.01}})
    assert ("no_decay", "optimizer.weight_decay") in found


def test_label_smoothing_that_the_loss_does_not_see_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from trainer.engine.engine import KerasEngine

    really = KerasEngine.compile

    def forgetful(engine: Any, *sizes: Any) -> None:
        engine.train_step.loss = engine.train_step.loss.model_copy(update={"label_smoothing": 0.0})
        really(engine, *sizes)

    plant(monkeypatch, "trainer.engine.engine.KerasEngine.compile", forgetful)
    assert ("labels_not_smoothed", "loss.label_smoothing") in codes(tmp_path, mixup=None)


def test_a_schedule_that_the_optimizer_does_not_follow_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch, "trainer.engine.train_step.RateTable.__call__", lambda table, step: table._table[0])
    assert ("another_rate", "schedule") in codes(tmp_path)


def test_an_input_range_that_is_not_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plant(
        monkeypatch,
        "trainer.loop.train.compute_normalisation",
        lambda *_: (np.ones(3, np.float32), np.zeros(3, np.float32)),
    )
    assert ("another_range", "normalize") in codes(tmp_path)
