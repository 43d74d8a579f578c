"""What a process has loaded before its run starts: images in memory, and programs compiled for a similar run.

A new process has nothing yet, and loads and builds on demand; a warm one (warm.py) has done so before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import PerChannel
from trainer.data import datasets
from trainer.data.datasets import Data
from trainer.data.downloads import Note
from trainer.engine.interface import Engine
from trainer.machine.compile_cache import CompileCache
from trainer.recipe import Dataset, Recipe

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
