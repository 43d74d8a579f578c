"""The training state of an engine as named arrays: saved from the device, and loaded back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.engine.backend import Backend
from trainer.engine.weight_averages import WeightAverages
from trainer.failures import CannotTrain

SEED_STATE = "seed_generator_state"  # dropout's counter: part of the state, but not a weight


def collect_variables(
    model: Any, optimizer: Any, averages: WeightAverages | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Weights, running statistics, dropout's counters, momenta, the step counter, averages, and `others`.

    Named by layer: Keras' own numbering continues from one model of a process to the next.
    """
    found = [(f"net/{layer.name}/{one.name}", one) for layer in model.layers for one in layer.variables]
    found += [(f"optimizer/{one.name}", one) for one in optimizer.variables]
    if averages is not None:
        of_net = {id(one): name for name, one in found}
        found += [
            (f"average/{of_net[id(weight)]}", one)
            for weight, one in zip(averages.weights, averages.variables, strict=True)
        ]
        found.append(("average/steps", averages.steps))
    found += others.items()
    named = dict(found)
    assert len(named) == len(found), "two variables of one name"
    assert len(model.variables) == sum(name.startswith("net/") for name in named), "a variable of no layer"
    return named


def save_state(backend: Backend, named: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Copies of the variables' values; waits for the device."""
    return {name: backend.read_variable(one) for name, one in named.items()}


def load_state(backend: Backend, named: Mapping[str, Any], state: Mapping[str, NDArray[Any]]) -> None:
    """Raises CannotTrain, and changes nothing, unless names, shapes and dtypes are exactly those of the variables."""
    wanted = {name: (tuple(one.shape), np.dtype(one.dtype)) for name, one in named.items()}
    given = {name: (array.shape, array.dtype) for name, array in state.items()}
    if wanted != given:
        other = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        text = f"the checkpoint is of another model: {len(other)} of its arrays do not fit, such as {other[0]}"
        raise CannotTrain(text, "Retry from scratch, or continue with the version of Pitwall that wrote it.")
    for name, one in named.items():
        backend.write_variable(one, state[name])


def evaluation_weights(
    backend: Backend, named: Mapping[str, Any], averages: WeightAverages | None
) -> dict[str, NDArray[Any]]:
    """The weights and running statistics that an evaluation uses, by layer: `Conv1/kernel`."""
    part = "average/net/" if averages is not None else "net/"
    return {
        name.removeprefix(part): array
        for name, array in save_state(
            backend, {name: one for name, one in named.items() if name.startswith(part)}
        ).items()
        if not name.endswith(SEED_STATE)
    }
