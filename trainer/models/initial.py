"""A net's first kernels, in NumPy: the same on every backend, from (seed, place of the layer) alone.

Must not know any ML framework.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Init = Literal["keras", "pytorch"]


def initial_kernel(shape: tuple[int, ...], init: Init, seed: int, place: int) -> NDArray[np.float32]:
    """Evenly drawn float32 of `shape`: (…, inputs, outputs), what stands before them being the filter's size.

    "keras": Glorot and Bengio's limit, sqrt(6 / (fan_in + fan_out)). "pytorch": its default for convolutions and
    linear layers, sqrt(1 / fan_in). `place`: of the layer in its net.
    """
    size = math.prod(shape[:-2])
    fan_in, fan_out = size * shape[-2], size * shape[-1]
    limit = math.sqrt(6 / (fan_in + fan_out)) if init == "keras" else math.sqrt(1 / fan_in)
    generator = np.random.Generator(np.random.PCG64([seed, place]))
    return generator.uniform(-limit, limit, shape).astype(np.float32)


def with_identity_filters(drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same kernel whose first filters each pass one input channel on (PyTorch's `dirac_`, as airbench begins)."""
    height, width, inputs, outputs = drawn.shape
    same = min(inputs, outputs)
    result = drawn.copy()
    result[..., :same] = 0
    result[height // 2, width // 2, range(same), range(same)] = 1
    return result
