"""NumPy under the names that `keras.ops` has, for code that is written once and done by either.

Where the two agree NumPy's own function is handed out. Must not know what is computed with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class _NumpyOps:
    """NumPy, and the few functions that it calls otherwise."""

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
