"""Where a value lies between two edges, and which round numbers stand beside them. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 5.0, 10.0)  # between ticks, times a power of ten
PADDING = 0.055  # of what the values span, as Plotly has it
ROUNDING = 1e-9  # of a step, or of the span where that is less: 0.30000000000000004 is still inside 0.3


@dataclass(frozen=True)
class Scale:
    low: float
    high: float  # more than `low`

    def share(self, value: float) -> float:
        """0 at the low edge, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int, *, whole: bool = False) -> list[float]:
        """Round numbers from edge to edge, no more than `most` steps; `whole`: 1, 2, 3 and no halves."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in STEPS if step * power >= rough * (1 - ROUNDING))
        if whole:
            step = max(1.0, step)
        slack = ROUNDING * min(1.0, (self.high - self.low) / step)
        first, last = math.ceil(self.low / step - slack), math.floor(self.high / step + slack)
        return [number * step for number in range(first, last + 1)]


def around(values: Sequence[float], *, from_zero: bool = False) -> Scale:
    """All of the values with some room; `from_zero`: zero is in it, and an edge where nothing lies beyond it."""
    if from_zero and not any(values):
        return Scale(0.0, 1.0)
    low, high = (min(*values, 0.0), max(*values, 0.0)) if from_zero else (min(values), max(values))
    room = PADDING * (high - low) or 0.1 * abs(high) or 1.0
    return Scale(
        low if from_zero and low == 0 < high else low - room, high if from_zero and high == 0 > low else high + room
    )
