"""An epoch's draws as one table of plain arrays, row i for picture i, and back: what an engine takes on its device.

Must not know pixels, how the draws are applied, or any ML framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Draws, Flips, Nothing, Sigmas, draw
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Operation, input_sides

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Nothing, Angles, Flips, Crops, Sigmas, Boxes)}
NARROW = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}  # what a device computes with

Tables = dict[str, NDArray[Any]]


def epoch_draws(recipe: Recipe, epoch: int, n: int, side: int) -> dict[int, Draws]:
    """The draws of epoch `epoch` (from 1) for each operation by its position; `n` pictures of `side` pixels."""
    epoch = 1 if recipe.augment_when == "once" else epoch
    met = input_sides(recipe.augment, side)
    return {
        position: draw(operation, recipe.seed, epoch, position, n=n, side=met[position])
        for position, operation in enumerate(recipe.augment)
    }


def tables(draws: Mapping[int, Draws]) -> Tables:
    """`2/Boxes/top` and so on: (n,) each, of 32 bits or bool."""
    return {
        f"{position}/{type(drawn).__name__}/{name}": column.astype(NARROW.get(column.dtype, column.dtype))
        for position, drawn in draws.items()
        for name, column in vars(drawn).items()
    }


def drawn(columns: Mapping[str, Any], operations: list[Operation]) -> dict[int, Draws]:
    """The way back, from columns of any array library."""
    found: dict[int, Draws] = {position: Nothing() for position in range(len(operations))}
    fields: dict[tuple[int, str], dict[str, Any]] = {}
    for path, column in columns.items():
        position, kind, name = path.split("/")
        fields.setdefault((int(position), kind), {})[name] = column
    return found | {position: KINDS[kind](**named) for (position, kind), named in fields.items()}


def rows(draws: Mapping[int, Draws], numbers: NDArray[np.int64]) -> dict[int, Draws]:
    """The draws of these pictures."""
    return {
        position: type(one)(**{name: column[numbers] for name, column in vars(one).items()})
        for position, one in draws.items()
    }
