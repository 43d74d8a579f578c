"""A few numbers as a small line: the `points` of an SVG polyline. Pure; must not know what the numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 100.0, 24.0  # of the viewBox; a page stretches it
MOST = 120  # points; more cannot be told apart


def points(
    xs: Sequence[float], ys: Sequence[float | None], *, across: tuple[float, float], up: tuple[float, float]
) -> str:
    """`across`: what lies at the left and right edge; `up`: at the foot and the head. Unknown values are left out."""
    (left, right), (low, high) = across, up
    known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and not math.isnan(y)]
    if len(known) > MOST:
        stride = (len(known) - 1) / (MOST - 1)
        known = [known[round(number * stride)] for number in range(MOST)]
    return " ".join(f"{_share(x, left, right) * WIDTH:.1f},{(1 - _share(y, low, high)) * HEIGHT:.1f}" for x, y in known)


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
