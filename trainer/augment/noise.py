"""Noise that is the same on every engine: value j of an image is a hash of (seed, j), in 32-bit integers only.

The hash is Chris Wellons' "lowbias32" (nullprogram.com, "Prospecting for Hash Functions"), written for an array
library: NumPy or Keras' backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class _NumpyOps:
    """NumPy, plus the few functions that it names differently."""

    @staticmethod
    def cast(values: Any, dtype: str) -> Any:
        return np.asarray(values).astype(dtype)

    @staticmethod
    def convert_to_tensor(values: Any, dtype: str | None = None) -> Any:
        return np.asarray(values, dtype)

    @staticmethod
    def shape(values: Any) -> tuple[int, ...]:
        return tuple(values.shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


numpy_ops: Any = _NumpyOps()


def noise(noise_seed: NDArray[np.uint32], count: int) -> NDArray[np.float32]:
    """`count` values in [0, 1) for each seed: float32 (len(noise_seed), count), multiples of 2^-24."""
    return hash_noise(noise_seed[:, None], counters(count)[None, :])  # type: ignore[no-any-return]


def counters(count: int) -> NDArray[np.uint32]:
    """Counters for j = 0 … count - 1: uint32 (count,), already mixed since they are the same for every image."""
    mixed: NDArray[np.uint32] = _mix(np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9), numpy_ops)
    return mixed


def hash_noise(noise_seed: Any, counter: Any, xp: Any = numpy_ops) -> Any:
    """A float32 value for each seed and counter, both uint32 and of shapes that broadcast."""
    bits = _mix(xp.bitwise_xor(counter, _mix(noise_seed, xp)), xp)
    # through int32: 24 bits fit, and not every device turns unsigned integers into floats
    whole = xp.cast(xp.right_shift(bits, _uint32(8, xp)), "int32")
    return xp.cast(whole, "float32") * np.float32(2**-24)


def _mix(bits: Any, xp: Any) -> Any:
    """Every input bit changes about half of the output bits. Wraps around on purpose."""
    bits = xp.bitwise_xor(bits, xp.right_shift(bits, _uint32(16, xp)))
    bits = xp.multiply(bits, _uint32(0x7FEB352D, xp))
    bits = xp.bitwise_xor(bits, xp.right_shift(bits, _uint32(15, xp)))
    bits = xp.multiply(bits, _uint32(0x846CA68B, xp))
    return xp.bitwise_xor(bits, xp.right_shift(bits, _uint32(16, xp)))


def _uint32(value: int, xp: Any) -> Any:
    return xp.convert_to_tensor(np.uint32(value), "uint32")
