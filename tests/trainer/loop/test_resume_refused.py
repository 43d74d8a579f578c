"""A folder with a checkpoint of another recipe is refused, with what differs. Without a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainer.data import datasets
from trainer.events import BaseEvent
from trainer.failures import CannotTrain, DatasetChanged, FolderUnusable, RecipeMistake, Stopped
from trainer.loop.checkpoint_file import (
    Checkpoint,
    Metadata,
    RunPosition,
    checkpoint_path,
    list_checkpoints,
    write_checkpoint,
)
from trainer.loop.checkpoints import Checkpoints
from trainer.loop.train import train
from trainer.recipe import Recipe

RECIPE: dict[str, Any] = {"dataset": {"name": "folder:shapes"}, "batch_size": 4, "epochs": 3}


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """The root of a data set with eight images of two classes."""
    generator = np.random.default_rng(0)
    for part, kind in [(part, kind) for part in ("train", "test") for kind in ("round", "square")]:
        folder = tmp_path / "shapes" / part / kind
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path


@pytest.fixture
def begun(shapes: Path) -> Path:
    """A folder in which RECIPE was trained for one epoch."""
    folder = shapes / "begun"
    folder.mkdir()
    recipe = Recipe.model_validate(RECIPE)
    fingerprint = datasets.load(recipe.dataset, shapes, lambda _: None).fingerprint
    metadata = Metadata(RunPosition(epoch=1), recipe.model_dump(mode="json"), fingerprint, {})
    write_checkpoint(checkpoint_path(folder, metadata.place), Checkpoint(metadata, {"net/kernel": np.ones(3)}))
    (folder / "recipe.json").write_text("what was there")
    return folder


def attempt(root: Path, folder: Path, **changes: Any) -> list[BaseEvent]:
    """Train until just before the framework is imported."""
    said: list[BaseEvent] = []
    train(Recipe.model_validate({**RECIPE, **changes}), said.append, root, lambda: True, 0, folder=folder)
    return said


def refusal(kind: type[CannotTrain], root: Path, folder: Path, **changes: Any) -> CannotTrain:
    with pytest.raises(kind) as caught:
        attempt(root, folder, **changes)
    return caught.value


@pytest.mark.parametrize("changes", [{}, {"target_accuracy": 0.5}])
def test_the_same_recipe_goes_on_whatever_its_target(shapes: Path, begun: Path, changes: dict[str, Any]):
    with pytest.raises(Stopped):
        attempt(shapes, begun, **changes)
    assert '"batch_size": 4' in (begun / "recipe.json").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 7}, "seed is 7 here and 0 there"),
        ({"augment": []}, "augment is [] here and absent there"),
        ({"schedule": {"kind": "constant", "lr": 0.1}}, "schedule.base_lr is absent here and 0.001 there"),
        ({"ema": {}}, "ema is absent here and None there"),
        ({"epochs": 4, "batch_size": 2}, "batch_size is 2 here and 4 there; epochs is 4 here and 3 there"),
    ],
)
def test_another_recipe_is_refused_with_what_differs(shapes: Path, begun: Path, changes: dict[str, Any], words: str):
    refused = refusal(RecipeMistake, shapes, begun, **changes)
    assert f"{begun} holds a checkpoint of another recipe: " in str(refused)
    assert words in str(refused)
    assert refused.hint == "Choose another folder, or delete it to start again."
    assert (begun / "recipe.json").read_text() == "what was there"
    assert len(list_checkpoints(begun)) == 1


def test_images_that_have_changed_are_noticed(shapes: Path, begun: Path):
    path = shapes / "shapes" / "train" / "round" / "1.png"
    picture = np.array(Image.open(path))
    picture[5, 5, 0] ^= 1
    Image.fromarray(picture).save(path)
    refused = refusal(DatasetChanged, shapes, begun)
    assert refused.kind == "dataset_changed"
    assert "not those that the run began with" in str(refused)
    assert "retry from scratch" in refused.hint


def test_a_folder_at_work_is_not_shared(shapes: Path, begun: Path):
    with Checkpoints(begun, 60, lambda _: None):
        assert "another trainer is using" in str(refusal(FolderUnusable, shapes, begun))


def test_a_recipe_of_a_version_that_knew_more_is_refused_in_words(shapes: Path, begun: Path):
    recipe = {**Recipe.model_validate(RECIPE).model_dump(mode="json"), "telepathy": True}
    metadata = Metadata(RunPosition(epoch=2), recipe, "0" * 64, {})
    write_checkpoint(checkpoint_path(begun, metadata.place), Checkpoint(metadata, {}))
    assert "settings that this version does not know" in str(refusal(RecipeMistake, shapes, begun))
