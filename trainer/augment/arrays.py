"""NumPy with the function names of `keras.ops`, for code that runs on either."""

from __future__ import annotations

from typing import Any

import numpy as np


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
