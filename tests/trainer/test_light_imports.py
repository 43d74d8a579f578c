"""The modules that a web process may import bring no framework with them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "trainer.recipe",
    "trainer.recipe_warning",
    "trainer.presets",
    "trainer.schedules",
    "trainer.datasets",
    "trainer.gallery",
    "trainer.check",
    "trainer.evidence",
    "trainer.augment.draws",
    "trainer.augment.operations",
    "trainer.augment.selections",
    "trainer.augment.normalisation",
    "trainer.models.layers",
    "trainer.models.resnet9",
    "trainer.devices",
    "trainer.events",
    "trainer.failures",
    "trainer.checkpoint",
    "trainer.keeper",
    "trainer.resume",
    "trainer.divergence",
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


AHEAD = """
import sys, threading
from pathlib import Path
from trainer.recipe import Recipe
from trainer.warm import ahead

ahead(Recipe.model_validate({"dataset": {"name": %r}}), Path("/nonexistent"), None)
for thread in threading.enumerate():
    if thread.name == "framework":
        thread.join()
print("trainer.engine.tensorflow" in sys.modules, "jax" in sys.modules)
"""


@pytest.mark.parametrize(
    ("dataset", "is_imported"), [("folder:none", False), ("cifar10", False), pytest.param("digits", True)]
)
@pytest.mark.keras
def test_a_framework_is_imported_ahead_where_pictures_are_here(dataset: str, is_imported: bool):
    done = subprocess.run([sys.executable, "-c", AHEAD % dataset], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(is_imported), "False"]


def test_what_is_wrong_with_a_framework_is_said_again_to_who_asks_again():
    program = """
import sys
from trainer.engine import backends
backends.CLASSES["tensorflow"] = "Nothing"
def asked():
    try:
        backends.ready("tensorflow")
    except Exception as error:
        return error
sys.modules["trainer.engine.tensorflow"] = sys
first = asked()
print(type(first).__name__, asked() is first)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["AttributeError", "True"]
