"""The modules that a web process may import bring no framework with them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "trainer.recipe.recipe",
    "trainer.recipe.warning",
    "trainer.presets.presets",
    "trainer.recipe.learning_rates",
    "trainer.data.datasets",
    "trainer.data.gallery",
    "trainer.recipe.check",
    "trainer.recipe.evidence",
    "trainer.augment.draws",
    "trainer.recipe.augmentation",
    "trainer.augment.selections",
    "trainer.augment.normalisation",
    "trainer.models.layers",
    "trainer.models.resnet9",
    "trainer.machine.devices",
    "trainer.events",
    "trainer.failures",
    "trainer.loop.checkpoint_file",
    "trainer.loop.checkpoints",
    "trainer.loop.resume",
    "trainer.loop.divergence",
    "trainer.engine.faults",
]
HEAVY = {"tensorflow", "keras", "jax", "sklearn", "scipy", "imgaug", "cv2", "PIL", "pooch", "requests", "tqdm"}


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_imports_no_framework(module: str):
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & HEAVY
    assert not loaded & {"app", "sqlalchemy", "fastapi"}


def test_the_host_s_augmentation_imports_imgaug_only_when_used():
    program = "import sys, trainer.augment.host; print('imgaug' in sys.modules, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


MISSING = """
import sys
from pathlib import Path
from trainer.failures import DatasetMissing
from trainer.recipe import Recipe
from trainer.loop.train import train

try:
    train(Recipe.model_validate({"dataset": {"name": "folder:none"}}), print, Path("/nonexistent"), lambda: False)
except DatasetMissing:
    print("tensorflow" in sys.modules)
"""


def test_where_pictures_are_missing_no_framework_is_imported():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
