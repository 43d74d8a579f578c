"""An epoch's sampled parameters as columns of arrays for the device, row i for image i, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import Angles, Boxes, Crops, Flips, NoParams, Params, Sigmas, sample_params
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Operation, input_sides

PARAM_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in (NoParams, Angles, Flips, Crops, Sigmas, Boxes)}
DEVICE_DTYPES = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}  # what a device computes with

Columns = dict[str, NDArray[Any]]


def sample_epoch_params(recipe: Recipe, epoch: int, n: int, side: int) -> dict[int, Params]:
    """The parameters of epoch `epoch` (from 1) by position of the operation, for `n` images of `side` pixels."""
    epoch = 1 if recipe.augment_when == "once" else epoch
    met = input_sides(recipe.augment, side)
    return {
        position: sample_params(operation, recipe.seed, epoch, position, n=n, side=met[position])
        for position, operation in enumerate(recipe.augment)
    }


def to_columns(draws: Mapping[int, Params]) -> Columns:
    """`2/Boxes/top` and so on: (n,) each, of 32 bits or bool."""
    return {
        f"{position}/{type(drawn).__name__}/{name}": column.astype(DEVICE_DTYPES.get(column.dtype, column.dtype))
        for position, drawn in draws.items()
        for name, column in vars(drawn).items()
    }


def from_columns(columns: Mapping[str, Any], operations: list[Operation]) -> dict[int, Params]:
    """The inverse of `to_columns`, for columns of any array library."""
    found: dict[int, Params] = {position: NoParams() for position in range(len(operations))}
    fields: dict[tuple[int, str], dict[str, Any]] = {}
    for path, column in columns.items():
        position, kind, name = path.split("/")
        fields.setdefault((int(position), kind), {})[name] = column
    return found | {position: PARAM_TYPES[kind](**named) for (position, kind), named in fields.items()}


def select_rows(draws: Mapping[int, Params], numbers: NDArray[np.int64]) -> dict[int, Params]:
    """The parameters of these images."""
    return {
        position: type(one)(**{name: column[numbers] for name, column in vars(one).items()})
        for position, one in draws.items()
    }
