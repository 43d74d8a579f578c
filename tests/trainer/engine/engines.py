"""Engines for tests: twelve images on the device, on TensorFlow or the backend in KERAS_BACKEND."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.selections import Selection
from trainer.engine.interface import HostBatch, Split
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import learning_rates

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
IMAGES = (PICTURES / 255).astype(np.float32)
LABELS = np.arange(12, dtype=np.int64) % 10
EVERY = np.arange(12, dtype=np.int32)
NORMAL = (np.full(3, 255, np.float32), np.zeros(3, np.float32))

Values = dict[str, NDArray[np.float64]]


def shared_backend() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework's own, at import
        from trainer.engine.backend import open_backend

        return open_backend(BACKEND)


def engine(recipe: Recipe, rates: NDArray[np.float32] | None = None, whitening: Any = None) -> Any:
    """`rates`: of the whole run; by default those of the recipe's schedule for twelve images."""
    opened = shared_backend()
    from trainer.engine.engine import KerasEngine

    rates = learning_rates(recipe, 12) if rates is None else rates
    made = KerasEngine(opened, recipe, 10, rates, whitening, NORMAL)
    split = Split(PICTURES, LABELS)
    made.load_splits(split, split)
    return made


def batch(size: int = 12) -> HostBatch:
    return HostBatch(IMAGES[:size], LABELS[:size])


def selection(size: int = 12) -> Selection:
    return Selection(np.arange(size))


def trained(run: Any) -> Values:
    """The trainable weights, by layer: `Conv1/kernel`."""
    state = run.state()
    names = {id(variable): name for name, variable in run._named.items()}
    return {
        names[id(one)].removeprefix("net/"): state[names[id(one)]].astype(np.float64) for one in run.train_step.trained
    }


def put(run: Any, name: str, value: float) -> None:
    """Fill one of the model's arrays."""
    variable = run._named[f"net/{name}"]
    run.backend.write_variable(variable, np.full(variable.shape, value, np.float32))


def logits(run: Any, pictures: NDArray[np.float32] = IMAGES, *, training: bool = False) -> NDArray[np.float64]:
    """The model's logits for the images; running statistics change in training mode."""
    from keras import ops

    look = run.backend.make_program(lambda images: ops.cast(run.model(images, training=training), "float32"), "look")
    return np.asarray(run.backend.fetch(look(pictures)), np.float64)


def losses(run: Any, *, training: bool = False) -> NDArray[np.float64]:
    """Cross-entropy of each of the twelve images, (12,)."""
    said = logits(run, training=training)
    found: NDArray[np.float64] = np.log(np.exp(said).sum(axis=1)) - said[np.arange(12), LABELS]
    return found
