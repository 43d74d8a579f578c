"""imgaug 0.4.0 on NumPy 2: restores the names that it needs, then imports it. Nothing else may import imgaug first.

imgaug's last release is from 2020 and reads `np.sctypes` at import and `np.complex` in two noise parameters;
NumPy 2 has neither. Pinning NumPy below 2 is worse: SomeOf, OneOf and RandAugment then fail on `np.bool`,
which NumPy 2 has again.
"""

from __future__ import annotations

import warnings
from types import ModuleType

import numpy as np


def restore_numpy_names() -> None:
    """Give the `numpy` module `sctypes` and `complex`, unless it has them. Safe to call again."""
    if "sctypes" not in vars(np):
        np.sctypes = {  # type: ignore[attr-defined]
            "int": [np.int8, np.int16, np.int32, np.int64],
            "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
            "float": [np.float16, np.float32, np.float64, np.longdouble],
            "complex": [np.complex64, np.complex128, np.clongdouble],
            "others": [bool, object, bytes, str, np.void],
        }
    if "complex" not in vars(np):
        np.complex = complex  # type: ignore[attr-defined]


def import_imgaug() -> tuple[ModuleType, ModuleType]:
    """(imgaug.augmenters, imgaug.parameters), imported on NumPy 2. Takes seconds the first time."""
    restore_numpy_names()
    with warnings.catch_warnings():
        # invalid escapes in docstrings and a deprecation in imageio: nothing that a user could fix
        warnings.simplefilter("ignore")
        from imgaug import augmenters, parameters
    return augmenters, parameters
