"""The real trainer with lighter arithmetic: `python -m tests.chaos.light_trainer` takes what `python -m trainer` takes.

Only two things differ: the engine (light_engine.py), so that TensorFlow is not imported, and the package imgaug, here a
wrapper around operations that are plain NumPy anyway. Data, draws, order, feed, epochs, checkpoints,
events, signals and exit codes are the real ones. It starts in about a second, so it can be killed by the hundred;
the scenario `real` does the same to the real one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: the products are tiny, and a thread pool costs a start

import numpy as np
from numpy.typing import NDArray

from tests.chaos.light_engine import LightEngine
from trainer.__main__ import main
from trainer.data.datasets import Data
from trainer.engine.interface import Engine
from trainer.loop.batches import Normal
from trainer.recipe import Recipe


class Whole:
    """As imgaug's Lambda: one function for the whole batch."""

    def __init__(self, func_images: Callable[..., Any], seed: int) -> None:
        self._change = func_images

    def augment_images(self, pictures: NDArray[Any]) -> NDArray[Any]:
        changed: NDArray[Any] = self._change(pictures, None, None, None)
        return changed


class Light:
    """What of imgaug the recipes here need: pad_crop, crop, pad and cutout."""

    Lambda = Whole


def light_engine(recipe: Recipe, data: Data, rates: NDArray[np.float32], normal: Normal, _cache: Path | None) -> Engine:
    return LightEngine(recipe, len(data.classes), rates, normal)


if __name__ == "__main__":
    imgaug = ModuleType("imgaug")
    imgaug.augmenters, imgaug.parameters = Light, None  # type: ignore[attr-defined]
    sys.modules["imgaug"] = imgaug
    sys.exit(main(light_engine))
