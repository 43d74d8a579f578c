"""What differs between the frameworks below Keras, and nothing else: where values live and how a program is made.

A body is a function of arrays that reads and assigns Keras variables; `program` makes one compiled program of it for
each shape of its arrays. Must not know what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from trainer.models.norms import Norms

Body = Callable[..., Any]  # of nested dicts and tuples of arrays, to the same
Variable = Any  # a Keras variable


class Backend(Protocol):
    """One per process, and per net: it holds the values of the net's variables."""

    on_gpu: bool
    # Classes of layers and of the optimiser that do best here: Keras' own, or of the same numbers.
    norms: Norms
    sgd: type
    is_open: bool  # whether a program takes batches of any size: otherwise one is made for each

    def device(self) -> str:
        """`cpu`, or the accelerator's name."""

    def has_bfloat16(self) -> bool:
        """Whether the device multiplies matrices of bfloat16 faster than those of float32."""

    def own(self, variables: Sequence[Variable]) -> None:
        """From now on these are the variables that programs use; after the net is built, before the first program."""

    def hold(self, array: NDArray[Any]) -> Any:
        """The array on the device, for programs to be given."""

    def program(self, body: Body, name: str) -> Callable[..., Any]:
        """`body`, compiled at its first call with arrays of a shape. It is traced once for each; see `traces`."""

    def gradients(self, loss: Callable[[], tuple[Any, Any]], variables: Sequence[Variable]) -> tuple[Any, list[Any]]:
        """Inside a body: the second thing that `loss()` answers, and the first one's gradient by each variable."""

    def settled(self, values: Any) -> Any:
        """Inside a body: the same, computed whole before anything uses it."""

    def read(self, variable: Variable) -> NDArray[Any]:
        """A copy of its value; waits for the device."""

    def write(self, variable: Variable, value: NDArray[Any]) -> None:
        """Another value."""

    def fetch(self, value: Any) -> NDArray[Any]:
        """What a program answered; waits for the device."""

    @property
    def traces(self) -> dict[str, int]:
        """How often each program was traced: once per shape, or something recompiles that should not."""
