"""The backends by name. Light until one is made: a framework takes seconds to import.

Keras reads the name of its backend once per process, from the environment; this is the only place that writes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trainer.engine.backend import Backend
from trainer.failures import RecipeMistake

CLASSES = {"tensorflow": "TensorFlow", "jax": "Jax"}
# What a framework imports where it is installed, for plots, tables and conversions that a run has none of: a third of
# the seconds that the import takes.
LEFT_OUT = {"tensorflow": ("jax", "matplotlib", "pandas"), "jax": ("matplotlib", "pandas", "tensorflow")}


def installed() -> list[str]:
    """Names of those whose packages are here, without importing them."""
    return [name for name in CLASSES if find_spec(name) is not None]


def ready(name: str, compiled: Path | None = None) -> Any:
    """Import the backend (seconds) without touching a device; answers its class. Raises RecipeMistake.

    `compiled`: a folder for programs that the next process may want (compile_cache.py); the first call decides.
    """
    if name not in installed():
        others = ", ".join(installed())
        hint = f"Install it, or take {others}." if others else "Install it."
        raise RecipeMistake(f"backend: {name} is not installed here", hint)
    os.environ["KERAS_BACKEND"] = name
    if name == "tensorflow":  # which reads its own at its import, once
        # Off by its own choice where a CPU has no AVX-512; twice as fast there, too.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
        if compiled is not None:
            os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={compiled}"
    with _absent(*LEFT_OUT[name]):
        made = getattr(import_module(f"trainer.engine.{name}"), CLASSES[name])
    if compiled is not None and name == "jax":
        made.keep_programs_in(compiled)
    return made


def backend(name: str, compiled: Path | None = None) -> Backend:
    """The backend, with its device opened."""
    made: Backend = ready(name, compiled)()
    return made


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """As if these were not installed, unless somebody has imported them already."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import says that there is no such module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
