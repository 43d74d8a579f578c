"""Which of Keras' backends are installed here, told without importing one: a framework takes seconds to import."""

from __future__ import annotations

from importlib.util import find_spec

CLASSES = {"tensorflow": "TensorFlow", "jax": "Jax"}  # by name, the class in trainer/engine/NAME.py


def installed() -> list[str]:
    """Names of the backends whose packages are installed here."""
    return [name for name in CLASSES if find_spec(name) is not None]
