"""Which of Keras' backends are installed here, told without importing one: a framework takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

BACKENDS = {"tensorflow": "TensorFlow", "jax": "Jax"}  # by name, the class in trainer/engine/NAME.py


def installed_backends(find: Callable[[str], object] = find_spec) -> list[str]:
    """Names of the backends whose packages are installed here: those that `find` finds."""
    return [name for name in BACKENDS if find(name) is not None]
