"""The TensorFlow backend: graphs that assign variables, compiled by XLA on a GPU, where that pays.

Importing this imports TensorFlow (seconds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.engine.backend import Body, Variable
from trainer.engine.fused import FusedBatchNorm, FusedSGD, PooledBatchNorm, RecomputedBatchNorm
from trainer.models.norms import Norms

TENSOR_CORES = (8, 0)  # compute capability from which bfloat16 is fast (Ampere)


class TensorFlow:
    """See `trainer.engine.backend.Backend`."""

    def __init__(self) -> None:
        self._gpus = tf.config.list_physical_devices("GPU")
        for gpu in self._gpus:
            # Allocate memory as needed: by default TensorFlow reserves the whole GPU, also from other processes.
            tf.config.experimental.set_memory_growth(gpu, True)
        self.on_gpu = bool(self._gpus)
        # TensorFlow graphs take any batch size, XLA compiles one per size. On a CPU, XLA's convolutions are slower.
        self.accepts_any_size = not self.on_gpu
        fused = Norms(FusedBatchNorm, PooledBatchNorm, RecomputedBatchNorm)
        self.norms = Norms(keras.layers.BatchNormalization) if self.on_gpu else fused
        self.sgd = keras.optimizers.SGD if self.on_gpu else FusedSGD
        self._traces: Counter[str] = Counter()

    def device(self) -> str:
        return str(self._details().get("device_name", "gpu")) if self.on_gpu else "cpu"

    def has_bfloat16(self) -> bool:
        return self.on_gpu and tuple(self._details().get("compute_capability", (0, 0))) >= TENSOR_CORES

    def own_variables(self, variables: Sequence[Variable]) -> None:
        pass  # TensorFlow's variables hold their values themselves

    def to_device(self, array: NDArray[Any]) -> Any:
        return tf.convert_to_tensor(array)

    def make_program(self, body: Body, name: str) -> Callable[..., Any]:
        def traced(*arrays: Any) -> Any:
            self._traces[name] += 1
            return body(*arrays)

        made: list[Callable[..., Any]] = []

        def run(*arrays: Any) -> Any:
            if not made:
                # The first axis stays open, so that a smaller last batch is not traced again.
                signature = tf.nest.map_structure(_with_open_axis, arrays)
                # No autograph: a body has no branches that depend on arrays, and looking for them takes a second.
                made.append(tf.function(traced, input_signature=signature, autograph=False, jit_compile=self.on_gpu))
            return made[0](*arrays)

        return run

    def compute_gradients(
        self, loss: Callable[[], tuple[Any, Any]], variables: Sequence[Variable]
    ) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            value, others = loss()
        return others, tape.gradient(value, list(variables))

    def materialize(self, values: Any) -> Any:
        return values  # a graph computes each operation as a whole

    def read_variable(self, variable: Variable) -> NDArray[Any]:
        return np.asarray(variable.numpy())

    def write_variable(self, variable: Variable, value: NDArray[Any]) -> None:
        variable.assign(value)

    def fetch(self, value: Any) -> NDArray[Any]:
        return np.asarray(value.numpy())

    @property
    def traces(self) -> dict[str, int]:
        return dict(self._traces)

    def _details(self) -> dict[str, Any]:
        return dict(tf.config.experimental.get_device_details(self._gpus[0]))


def _with_open_axis(array: Any) -> Any:
    return tf.TensorSpec((None, *array.shape[1:]) if len(array.shape) else (), array.dtype)
