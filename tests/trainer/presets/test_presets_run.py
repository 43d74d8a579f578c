"""Every preset really trains, and what its first steps do is what its recipe says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from trainer.events import BaseEvent, EpochEnded, Evidence, Finished
from trainer.loop.train import train
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.evidence import check_evidence
from trainer.recipe.knobs import merge

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("tensorflow")]

# One of each way to train: the others run with the marker only.
ALWAYS = ("quickstart", "seed-readme", "seed-notebook", "seed-base-once", "page-tricks")
IMAGES, CLASSES = 256, 10
LITTLE = {
    "dataset": {"name": "digits", "train_limit": IMAGES, "val_limit": 64},
    "model": {"width": 4},
    "batch_size": 32,
    "epochs": 2,
}


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.presets) for name in PRESETS]
)
def test_a_preset_trains_and_does_what_its_recipe_says(name: str, tmp_path: Path):
    recipe = Recipe.model_validate(merge(PRESETS[name].recipe.model_dump(mode="json"), LITTLE))
    said: list[BaseEvent] = []
    train(recipe, said.append, tmp_path, lambda: False, processes=0)

    epochs = [event for event in said if isinstance(event, EpochEnded)]
    assert [row.epoch for row in epochs] == [1, 2]
    for row in epochs:
        assert row.train_loss is not None
        assert row.val_loss is not None
        assert math.isfinite(row.train_loss + row.val_loss)
    assert isinstance(said[-1], Finished)

    evidence = [event for event in said if isinstance(event, Evidence)]
    assert [one.epoch for one in evidence] == [1, 2]
    assert check_evidence(recipe, evidence, IMAGES, CLASSES) == []
