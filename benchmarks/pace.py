"""How much of each benchmark is done: all of it, or a moment of it, to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Pace:
    is_moment: bool = False

    def amount(self, full: Number, moment: Number) -> Number:
        """How many, or how long: `full` to measure, `moment` to see that it runs."""
        return moment if self.is_moment else full


FULL = Pace()
MOMENT = Pace(is_moment=True)
