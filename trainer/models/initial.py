"""A model's initial kernels in NumPy: the same on every backend, from (seed, position of the layer) alone."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Init = Literal["keras", "pytorch"]


def initial_kernel(shape: tuple[int, ...], init: Init, seed: int, place: int) -> NDArray[np.float32]:
    """Uniformly random float32 of `shape`: (filter size …, inputs, outputs).

    "keras": Glorot and Bengio's limit, sqrt(6 / (fan_in + fan_out)). "pytorch": its default for convolutions and
    linear layers, sqrt(1 / fan_in). `place`: position of the layer in its model.
    """
    size = math.prod(shape[:-2])
    fan_in, fan_out = size * shape[-2], size * shape[-1]
    limit = math.sqrt(6 / (fan_in + fan_out)) if init == "keras" else math.sqrt(1 / fan_in)
    generator = np.random.Generator(np.random.PCG64([seed, place]))
    return generator.uniform(-limit, limit, shape).astype(np.float32)


def with_identity_filters(drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel with its first filters replaced by identities of one input channel each (PyTorch's `dirac_`, as in
    airbench)."""
    height, width, inputs, outputs = drawn.shape
    same = min(inputs, outputs)
    result = drawn.copy()
    result[..., :same] = 0
    result[height // 2, width // 2, range(same), range(same)] = 1
    return result
