"""What is really loaded: no ML framework in the web process, nothing of the app in the trainer."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.app.support.source_tree import ROOT, module_of, named, sources
from tests.app.test_architecture import LIGHT, wing_of

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch", "sklearn"}
WEB = {"app", "sqlalchemy", "fastapi", "starlette", "uvicorn", "alembic", "jinja2"}

# One interpreter loads the libraries and forks once for each list of modules: ours are imported afresh.
IMPORTER = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
libraries, modules = json.loads(sys.argv[1])
for library in libraries:
    importlib.import_module(library)
found = {}
for module in modules:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            for one in module.split(","):
                importlib.import_module(one)
            said = sorted({name.partition(".")[0] for name in sys.modules})
        except BaseException as error:
            said = [f"!{type(error).__name__}: {error}"]
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found[module] = json.loads(answer.read())
    os.waitpid(child, 0)
print(json.dumps(found))
"""
LIBRARIES = ("numpy", "pydantic", "httpx2")


@cache
def loaded(libraries: tuple[str, ...], *modules: str) -> dict[str, set[str]]:
    """What is in sys.modules after each module was imported alone; `!…` where it could not be."""
    asked = json.dumps([libraries, modules])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER, asked], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return {module: set(names) for module, names in json.loads(done.stdout).items()}


def test_no_module_of_the_app_loads_an_ml_framework():
    modules = ",".join(module_of(path) for path in sources("app"))  # together: each takes half a second
    for module, names in loaded((), modules).items():
        assert not [name for name in names if name.startswith("!")], (module, names)
        assert not names & FRAMEWORKS, module


def test_no_light_module_of_the_trainer_loads_a_framework_or_the_app():
    light = {f"trainer.{name}" for name in LIGHT.split()} | {"trainer.worker"}
    modules = [
        module_of(path) for path in sources("trainer") if wing_of(named(path)) in light and path.stem != "__main__"
    ]
    assert len(modules) > 40
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not [name for name in names if name.startswith("!")], (module, names)
        assert not names & (FRAMEWORKS | WEB), module


def test_nothing_of_the_trainer_loads_the_app():
    """What imports a framework at once is read, not run: see the rule of imports."""
    modules = [
        module_of(path)
        for path in sources("trainer")
        if wing_of(named(path)) in {"trainer.loop", "trainer.inference"} and path.stem != "keras_model"
    ]
    assert len(modules) > 10
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not names & WEB, module


MISSING = """
import sys
from pathlib import Path
from trainer.failures import DatasetMissing
from trainer.loop.train import train
from trainer.recipe import Recipe

try:
    train(Recipe.model_validate({"dataset": {"name": "folder:none"}}), print, Path("/nonexistent"), lambda: False)
except DatasetMissing:
    print("tensorflow" in sys.modules)
"""


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (MISSING, ["False"]),
        ("import sys, trainer.augment.host; print('imgaug' in sys.modules, 'cv2' in sys.modules)", ["False", "False"]),
    ],
    ids=["a missing data set", "the host's augmentation"],
)
def test_what_takes_seconds_to_import_is_imported_only_when_used(program: str, answer: list[str]):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == answer
