"""Batches built on the device equal the pipeline's, in every epoch and pairing; and whole runs with them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.engine.engines import BACKEND, NORMAL, shared_backend
from trainer.augment.selections import batch_labels, list_selections
from trainer.data.datasets import Data
from trainer.events import BaseEvent, EpochEnded, Evidence, Started
from trainer.failures import Stopped
from trainer.loop.batches import DeviceBatchSource, HostBatchSource, open_batch_source
from trainer.loop.checkpoint_file import list_checkpoints, read_checkpoint
from trainer.loop.measure import matches_expected
from trainer.loop.train import train
from trainer.recipe import Recipe
from trainer.recipe.evidence import check_evidence
from trainer.recipe.learning_rates import learning_rates

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600)]

DATA = Data(
    train_images=np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8),
    train_labels=np.arange(40, dtype=np.int64) % 10,
    val_images=np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
    val_labels=np.arange(20, dtype=np.int64) % 10,
    classes=tuple("abcdefghij"),
    fingerprint="",
)
KNOBS: dict[str, Any] = {
    "model": {"width": 2, "dropout": 0},
    "augment": [
        {"op": "rotate"}, {"op": "flip"}, {"op": "pad"}, {"op": "crop"}, {"op": "pad_crop"},
        {"op": "blur", "sigma_h": 1}, {"op": "cutout"}, {"op": "cutout_square", "p": 0.5},
    ],
    "augment_engine": "device",
    "batch_size": 16,
    "epochs": 2,
    "backend": BACKEND,
}  # fmt: skip


@pytest.mark.parametrize(
    "mixup",
    [None, {"pairing": "permute", "when": "before"}, {"pairing": "disjoint", "when": "after"}],
    ids=["plain", "before", "after"],
)
def test_the_device_makes_the_images_and_labels_of_the_pipeline(mixup: dict[str, Any] | None):
    recipe = Recipe.model_validate({**KNOBS, "mixup": mixup})
    opened = shared_backend()
    from trainer.engine.engine import KerasEngine

    engine = KerasEngine(opened, recipe, 10, learning_rates(recipe, 40), None, NORMAL)
    with DeviceBatchSource(recipe, DATA, NORMAL) as source:
        source.load_data(engine)
        for epoch in (1, 2):
            for selection in list_selections(recipe, 40, epoch)[:1]:
                batch, shown = source.batch_with_images(engine, epoch, selection)
                assert batch is selection
                assert matches_expected(source.pipeline.batch(epoch, selection), shown, source)
                assert not matches_expected(source.pipeline.batch(epoch + 1, selection), shown, source)
                labels = opened.fetch(engine._images(engine._training, engine._tables, _places(selection))[1])
                expected = batch_labels(selection, DATA.train_labels, 10)
                soft = expected if expected.ndim == 2 else np.eye(10)[expected]
                np.testing.assert_allclose(labels, soft, atol=1e-6)


def _places(selection: Any) -> Any:
    from trainer.engine.engine import _selection_arrays as places

    return places(selection)


def ran(folder: Path, knobs: dict[str, Any], stop: int | None = None, **more: Any) -> list[BaseEvent]:
    said, asked = list[BaseEvent](), itertools.count()
    recipe = Recipe.model_validate(
        {**KNOBS, "dataset": {"name": "digits", "train_limit": 130, "val_limit": 40}, **knobs}
    )
    try:
        train(recipe, said.append, folder, lambda: stop is not None and next(asked) >= stop, 0, folder=folder, **more)
    except Stopped:
        assert stop is not None
    return said


def test_a_run_on_the_device_does_what_its_recipe_says(tmp_path: Path):
    said = ran(tmp_path, {"mixup": {"alpha": 1}, "loss": {"label_smoothing": 0.1}})
    recipe = Recipe.model_validate({**KNOBS, "mixup": {"alpha": 1}, "loss": {"label_smoothing": 0.1}})
    evidence = [event for event in said if isinstance(event, Evidence)]
    assert [one.epoch for one in evidence] == [1, 2]
    assert check_evidence(recipe, evidence, 130, 10) == []
    [started] = [event for event in said if isinstance(event, Started)]
    assert started.environment["augment_engine"] == "device"
    assert started.environment["augment_processes"] == 0
    assert started.training_flops is not None
    assert (started.peak_flops, started.peak_source) == (None, None), "a CPU has no peak that no training exceeds"


def test_stopped_on_the_way_it_ends_with_the_same_bits(tmp_path: Path):
    knobs = {"tta": "six", "ema": {"decay": 0.9, "every": 2, "rise": 1, "put_back": True}, "model": {"width": 2}}
    whole = ran(tmp_path / "whole", knobs)
    first = ran(tmp_path / "parts", knobs, stop=6, every_s=0)
    assert not [event for event in first if isinstance(event, EpochEnded)]
    second = ran(tmp_path / "parts", knobs)
    rows = [
        [event.model_dump(exclude=TIMES) for event in said if isinstance(event, EpochEnded)] for said in (whole, second)
    ]
    assert rows[0] == rows[1]
    assert all(row["tta_accuracy"] is not None for row in rows[0])
    one, other = (read_checkpoint(list_checkpoints(tmp_path / name)[0]).tensors for name in ("whole", "parts"))
    assert {name for name in one if one[name].tobytes() != other[name].tobytes()} == set()


TIMES = {"busy", "memory_bytes", "seconds", "input_seconds", "val_seconds", "compile_seconds", "tta_seconds"}


def test_without_a_word_a_cpu_leaves_images_to_the_host_and_a_gpu_changes_them_itself():
    recipe = Recipe.model_validate({**KNOBS, "augment_engine": "auto"})
    for device, kind in (("cpu", HostBatchSource), ("NVIDIA H200", DeviceBatchSource)):
        with open_batch_source(recipe, DATA, NORMAL, device, 0) as source:
            assert isinstance(source, kind)
