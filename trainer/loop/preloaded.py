"""What a process has ready when its run begins: pictures in memory, and programs compiled for a run like it.

A new process has nothing, and loads and builds what it is asked for; a warm one (warm.py) has done so before. Must
not know processes, streams, the engine or any ML framework.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data import datasets
from trainer.data.datasets import Data
from trainer.data.downloads import Note
from trainer.engine.interface import Engine
from trainer.machine.compile_cache import CompileCache
from trainer.recipe import Dataset, Recipe

IGNORED_SETTINGS = {"seed": 0, "target_accuracy": None}  # a program does not depend on them


@dataclass
class Preloaded:
    """Use for one run, or for a rehearsal (warm.py) and then one run."""

    is_warm: bool = False
    cache: CompileCache | None = None  # of programs, on the disk
    began: float | None = None  # on time.monotonic(): when the process started, or a warm one was given its order
    _read: tuple[Dataset, Path, str] | None = None
    _data: Data | None = field(default=None, repr=False)
    _built_for: tuple[Recipe, str] | None = None
    _seed: int | None = None
    _engine: Engine | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float | None:
        """Since the process started, or was given its order; None: nobody knows."""
        return None if self.began is None else time.monotonic() - self.began

    def data(self, dataset: Dataset, root: Path, note: Note) -> Data:
        """See datasets.load. What was read before is good for as long as none of its files changes."""
        stands = (dataset, root, datasets.stamp(dataset.name, root))
        if self._data is None or self._read != stands:
            self._data = None  # two at once would take twice the memory
            self._data, self._read = datasets.load(dataset, root, note), stands
        return self._data

    def engine(self, recipe: Recipe, data: Data, make: Callable[[], Engine]) -> Engine:
        """What `make` makes of the recipe; or an engine whose programs are compiled, exactly as that one would be.

        Two that differ in their seed alone differ in nothing but the state that they start with.
        """
        wanted = (recipe.model_copy(update=IGNORED_SETTINGS), data.fingerprint)
        if self._engine is None or self._built_for != wanted:
            self._engine = None
            self._engine, self._built_for = make(), wanted
        elif self._seed != recipe.seed:
            self._engine.restore(make().state())
        self._seed = recipe.seed
        return self._engine
