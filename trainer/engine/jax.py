"""The JAX backend: pure functions of the variables' values, which are stored here and donated to each step.

Importing this imports JAX (seconds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from trainer.engine.backend import Body, Variable
from trainer.models.norms import Norms

jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # the sums over an epoch are float64; all other arrays name their dtype

TENSOR_CORES = 8.0  # compute capability from which bfloat16 is fast (Ampere)


class Jax:
    """See `trainer.engine.backend.Backend`."""

    accepts_any_size = False

    def __init__(self) -> None:
        self._device = jax.devices()[0]
        self.on_gpu = self._device.platform == "gpu"
        self.norms = Norms(keras.layers.BatchNormalization)
        self.sgd = keras.optimizers.SGD
        self._variables: list[Variable] = []
        self._values: list[Any] = []
        self._at: dict[int, int] = {}
        self._traces: Counter[str] = Counter()

    @staticmethod
    def cache_programs_in(folder: Path) -> None:
        """Use this folder as a persistent cache of compiled programs."""
        jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]

    def device(self) -> str:
        return str(self._device.device_kind) if self.on_gpu else "cpu"

    def has_bfloat16(self) -> bool:
        return self.on_gpu and float(getattr(self._device, "compute_capability", 0)) >= TENSOR_CORES

    def own_variables(self, variables: Sequence[Variable]) -> None:
        self._variables = list(variables)
        # copies: a step donates its values, and Keras keeps the initial ones
        self._values = [jax.device_put(np.array(variable.value), self._device) for variable in variables]
        self._at = {id(variable): at for at, variable in enumerate(self._variables)}

    def to_device(self, array: NDArray[Any]) -> Any:
        return jax.device_put(array, self._device)

    def make_program(self, body: Body, name: str) -> Callable[..., Any]:
        def pure(values: list[Any], arrays: tuple[Any, ...]) -> tuple[Any, list[Any]]:
            self._traces[name] += 1
            with keras.StatelessScope(zip(self._variables, values, strict=True)) as scope:
                answer = body(*arrays)
            return answer, [scope.get_current_value(variable) for variable in self._variables]

        compiled = jax.jit(pure, donate_argnums=0)

        def run(*arrays: Any) -> Any:
            answer, self._values = compiled(self._values, arrays)
            return answer

        return run

    def compute_gradients(
        self, loss: Callable[[], tuple[Any, Any]], variables: Sequence[Variable]
    ) -> tuple[Any, list[Any]]:
        now = [variable.value for variable in self._variables]

        def pure(wanted: list[Any]) -> tuple[Any, Any]:
            mapping = dict(zip(map(id, variables), wanted, strict=True))
            values = [mapping.get(id(one), value) for one, value in zip(self._variables, now, strict=True)]
            with keras.StatelessScope(zip(self._variables, values, strict=True)) as scope:
                value, others = loss()
            return value, (others, [scope.get_current_value(variable) for variable in self._variables])

        wanted = [variable.value for variable in variables]
        gradients, (others, after) = jax.grad(pure, has_aux=True)(wanted)
        differentiated = {id(variable) for variable in variables}
        for variable, old, new in zip(self._variables, now, after, strict=True):
            if new is not old and id(variable) not in differentiated:  # running statistics, dropout's counters
                variable.assign(new)
        return others, gradients

    def materialize(self, values: Any) -> Any:
        return jax.lax.optimization_barrier(values)  # type: ignore[no-untyped-call]

    def read_variable(self, variable: Variable) -> NDArray[Any]:
        return np.array(self._values[self._at[id(variable)]])

    def write_variable(self, variable: Variable, value: NDArray[Any]) -> None:
        self._values[self._at[id(variable)]] = jax.device_put(value, self._device)

    def fetch(self, value: Any) -> NDArray[Any]:
        return np.array(value)

    @property
    def traces(self) -> dict[str, int]:
        return dict(self._traces)
