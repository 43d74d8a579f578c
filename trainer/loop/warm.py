"""A warm process, which prepares for a run before it receives its recipe: `python -m trainer --wait`.

It imports the framework and reads the data set of a similar run; with `programs` it also rehearses that run up to its
first step, which compiles the programs. A rehearsal publishes no events. Then it waits for its order, a line on stdin:

    {"at": seconds on the monotonic clock, "recipe": {…}, "arguments": ["--dir", …]}
"""

from __future__ import annotations

import json
import logging
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.imgaug_shim import import_imgaug
from trainer.augment.normalisation import PerChannel
from trainer.data import datasets
from trainer.data.datasets import Data, find_dataset
from trainer.data.downloads import Note
from trainer.engine.backend import import_framework
from trainer.engine.interface import Engine
from trainer.events import BaseEvent, Started
from trainer.failures import CannotTrain, RecipeMistake, Stopped
from trainer.machine.compile_cache import CompileCache
from trainer.machine.process import low_priority
from trainer.recipe import Dataset, Recipe

STDIN = 0


@dataclass(frozen=True)
class Order:
    """The ordered run: recipe, command-line arguments, and what is preloaded for it."""

    recipe: Any
    arguments: list[str]
    preloaded: Preloaded


def import_engine(backend: str, compiled: Path | None = None) -> None:
    """Import the framework and the engine (seconds) without opening a device."""
    import_framework(backend, compiled)
    import_module("trainer.engine.engine")


def wait_for_order(
    recipe: Recipe,
    root: Path,
    *,
    programs: bool,
    cache: CompileCache | None = None,
    build_engine: BuildEngine | None = None,
) -> Order | None:
    """Preload for a run like this one, on data sets under `root`, and wait. None: stdin was closed without an order.

    `programs`: also compile programs, which opens the device. `cache`: of compiled programs, on the disk.
    `build_engine`: None: Keras'. Failures are ignored here: the run itself reports them.
    Raises RecipeMistake if the line is not an order.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # there is nothing to save
    made = Preloaded(is_warm=True, cache=cache, build_engine=build_engine)
    with low_priority():
        logging.disable()
        with suppress(Stopped, CannotTrain):
            if build_engine is None:
                import_engine(recipe.backend, cache.folder if cache else None)
            _preload(made, recipe, root, programs=programs)
        logging.disable(logging.NOTSET)
        text = read_stdin_line()
    if not text:
        return None
    try:
        order = json.loads(text)
        made.began = float(order["at"])
        return Order(order["recipe"], [str(one) for one in order["arguments"]], made)
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeMistake(f"this is not an order: {error}") from error


def read_stdin_line() -> str:
    """Read one line from stdin, unbuffered so that `select` sees the next one. Empty: stdin was closed."""
    with open(STDIN, "rb", buffering=0, closefd=False) as stream:
        return stream.readline().decode()


def _preload(made: Preloaded, recipe: Recipe, root: Path, *, programs: bool) -> None:
    if recipe.augment_engine != "device":
        import_imgaug()
    if not find_dataset(recipe.dataset.name, root).available:
        return  # the run itself starts a download and shows its progress
    if programs:
        _rehearse(made, recipe, root)
    else:
        made.data(recipe.dataset, root, lambda note: None)


def _rehearse(made: Preloaded, recipe: Recipe, root: Path) -> None:
    """Raises Stopped before the first step, or earlier if the order has arrived."""
    from trainer.loop.train import train

    def emit(event: BaseEvent) -> None:
        if isinstance(event, Started):
            raise Stopped

    train(recipe, emit, root, lambda: bool(select.select([STDIN], [], [], 0)[0]), 0, preloaded=made)


# Of a recipe, its data, the rates of all steps, the normalisation, and the folder of compiled programs.
BuildEngine = Callable[[Recipe, Data, NDArray[np.float32], tuple[PerChannel, PerChannel], Path | None], Engine]


IGNORED_SETTINGS = {"seed": 0, "target_accuracy": None}  # compiled programs do not depend on them


@dataclass
class Preloaded:
    """Serves one run, or a rehearsal (warm.py) and then one run."""

    is_warm: bool = False
    cache: CompileCache | None = None  # of programs, on the disk
    began: float | None = None  # time.monotonic() at the process's start, or at the order to a warm one
    build_engine: BuildEngine | None = None  # None: Keras'
    _read: tuple[Dataset, Path, str] | None = None
    _data: Data | None = field(default=None, repr=False)
    _built_for: tuple[Recipe, str] | None = None
    _seed: int | None = None
    _engine: Engine | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float | None:
        """Seconds since the process started or received its order; None if unknown."""
        return None if self.began is None else time.monotonic() - self.began

    def data(self, dataset: Dataset, root: Path, note: Note) -> Data:
        """See datasets.load. Reuses the images in memory as long as none of their files has changed."""
        stands = (dataset, root, datasets.compute_stamp(dataset.name, root))
        if self._data is None or self._read != stands:
            self._data = None  # two at once would take twice the memory
            self._data, self._read = datasets.load(dataset, root, note), stands
        return self._data

    def engine(self, recipe: Recipe, data: Data, make: Callable[[], Engine]) -> Engine:
        """The engine from `make`, or an equal one whose programs are compiled already.

        Recipes that differ only in their seed differ only in the engine's initial state.
        """
        wanted = (recipe.model_copy(update=IGNORED_SETTINGS), data.fingerprint)
        if self._engine is None or self._built_for != wanted:
            self._engine = None
            self._engine, self._built_for = make(), wanted
        elif self._seed != recipe.seed:
            self._engine.restore(make().state())
        self._seed = recipe.seed
        return self._engine
