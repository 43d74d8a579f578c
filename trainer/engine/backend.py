"""The frameworks below Keras: the interface they implement (`Backend`), and how one of them is opened.

A body is a function of arrays that reads and assigns Keras variables; `make_program` compiles it once per shape of its
arrays. Keras reads the name of its backend once per process, from the environment; only this module sets it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from trainer.failures import RecipeMistake
from trainer.machine.devices import BACKENDS, installed_backends
from trainer.models.norms import Norms

# Packages that a framework imports if installed, for plots, tables and conversions that no run uses: a third of the
# import's time.
HIDDEN_PACKAGES = {"tensorflow": ("jax", "matplotlib", "pandas"), "jax": ("matplotlib", "pandas", "tensorflow")}

Body = Callable[..., Any]  # from and to nested dicts and tuples of arrays
Variable = Any  # a Keras variable


class Backend(Protocol):
    """One per process and per model: it holds the values of the model's variables."""

    on_gpu: bool
    # The fastest layer and optimizer classes here: Keras' own, or ones that compute the same numbers.
    norms: Norms
    sgd: type
    accepts_any_size: bool  # whether one program takes batches of any size; otherwise one is compiled per size

    def device(self) -> str:
        """`cpu`, or the accelerator's name."""

    def has_bfloat16(self) -> bool:
        """Whether the device multiplies bfloat16 matrices faster than float32 ones."""

    def own_variables(self, variables: Sequence[Variable]) -> None:
        """Register the variables that programs use; call after the model is built, before the first program."""

    def to_device(self, array: NDArray[Any]) -> Any:
        """Copy an array to the device, to be passed to programs."""

    def make_program(self, body: Body, name: str) -> Callable[..., Any]:
        """Compile `body` at its first call with arrays of a new shape. It is traced once per shape; see `traces`."""

    def compute_gradients(
        self, loss: Callable[[], tuple[Any, Any]], variables: Sequence[Variable]
    ) -> tuple[Any, list[Any]]:
        """Inside a body: the second result of `loss()`, and the gradients of its first result for `variables`."""

    def materialize(self, values: Any) -> Any:
        """Inside a body: the same values, fully computed before anything uses them."""

    def read_variable(self, variable: Variable) -> NDArray[Any]:
        """A copy of the variable's value; waits for the device."""

    def write_variable(self, variable: Variable, value: NDArray[Any]) -> None: ...

    def fetch(self, value: Any) -> NDArray[Any]:
        """Copy a program's result to the host; waits for the device."""

    @property
    def traces(self) -> dict[str, int]:
        """How often each program was traced. More than once per shape means an unwanted recompilation."""


def import_framework(name: str, compiled: Path | None = None, available: Sequence[str] | None = None) -> Any:
    """Import the backend (seconds) without touching a device; returns its class. Raises RecipeMistake.

    `compiled`: a folder for programs that the next process may want (compile_cache.py); the first call decides.
    `available`: backends; None: those that are installed here.
    """
    available = installed_backends() if available is None else available
    if name not in available:
        others = ", ".join(available)
        hint = f"Install it, or use {others}." if others else "Install it."
        raise RecipeMistake(f"backend: {name} is not installed here", hint)
    os.environ["KERAS_BACKEND"] = name
    if name == "tensorflow":  # which reads its own at its import, once
        # Off by its own choice where a CPU has no AVX-512; twice as fast there, too.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
        if compiled is not None:
            os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={compiled}"
    with _hide_packages(*HIDDEN_PACKAGES[name]):
        made = getattr(import_module(f"trainer.engine.{name}"), BACKENDS[name])
    if compiled is not None and name == "jax":
        made.cache_programs_in(compiled)
    return made


def open_backend(name: str, compiled: Path | None = None) -> Backend:
    """Import the backend and open its device. Raises RecipeMistake."""
    made: Backend = import_framework(name, compiled)()
    return made


@contextmanager
def _hide_packages(*packages: str) -> Iterator[None]:
    """Hide these packages as if they were not installed, unless already imported."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import says that there is no such module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
