"""The traces of a Plotly figure as SVG paths: lines, dots, bars, bands, intervals; scales and sparklines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeGuard

SIDE = 1000  # of the viewBox; a page stretches it
MARKED_POINTS = 60  # as in static/js/chart_theme.js: more dots look like a thicker line
MAX_COORDINATE = 1e300  # beyond it, sums overflow

Trace = dict[str, Any]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Path:
    """`kind`: its CSS class. `token`: the CSS variable of its colour. `d`: the SVG path. `dash`: as in palette.DASHES.
    `role`: of its trace."""

    kind: str
    token: str
    d: str
    dash: str = ""
    role: str = ""


def trace_paths(trace: Trace, x: Scale, y: Scale, max_points: int) -> Iterator[Path]:
    """`max_points`: of a line; a longer one is reduced to the lowest and highest point of each stretch."""
    token, mode, role = token_of(trace), trace.get("mode", ""), str(trace["meta"]["role"])
    if trace["meta"].get("is_band"):
        points = list(chain.from_iterable(_pieces(trace)))
        yield Path("band", token, f"{_line(points[:: len(points) // max_points + 1], x, y)}Z", role=role)
        return
    pieces = [_thin(piece, max_points) for piece in _pieces(trace)]
    points = list(chain.from_iterable(pieces))
    if trace["type"] == "bar":
        outlines = [[(a - 0.4, 0.0), (a - 0.4, b), (a + 0.4, b), (a + 0.4, 0.0)] for a, b in points]
        yield Path("fill", token, "".join(f"{_line(outline, x, y)}Z" for outline in outlines))
    if "lines" in mode:
        yield Path(kind_of(trace), token, "".join(_line(piece, x, y) for piece in pieces), dash_of(trace), role)
    if "error_x" in trace:
        yield Path("whisker", token, "".join(_line([(a, at), (b, at)], x, y) for a, b, at in whiskers(trace)))
    if "lines" not in mode and "markers" in mode:
        half = SIDE * 0.25 / (y.high - y.low)
        mark = f"m0 {-half:.1f}v{2 * half:.1f}" if kind_of(trace) == "mean" else "h0"  # upright, or a dot
        yield Path(kind_of(trace), token, "".join(_line([one], x, y) + mark for one in points))
    elif "markers" in mode and (shown := _marked(trace, points)):
        kind = "point square" if trace.get("marker", {}).get("symbol") == "square" else "point"
        yield Path(kind, token, "".join(f"{_line([one], x, y)}h0" for one in shown), role=role)


def reference_line(ends: Points, x: Scale, y: Scale) -> Path:
    """A target or a published result."""
    return Path("rule", "--chart-target", _line(ends, x, y))


def token_of(trace: Trace) -> str:
    meta = trace["meta"]
    return str(meta.get("token") or f"--chart-{meta['role']}")


def dash_of(trace: Trace) -> str:
    """Lengths in px for SVG; empty: solid."""
    return str(trace.get("line", {}).get("dash", "")).replace("px", "").replace(",", " ")


def kind_of(trace: Trace) -> str:
    """The CSS class: the role of dots; lines say that they are lines, too."""
    role = str(trace["meta"]["role"])
    if trace["type"] == "bar":
        return "fill"
    return f"line {role}" if "lines" in trace.get("mode", "") else role


def whiskers(trace: Trace) -> Iterator[tuple[float, float, float]]:
    """(left, right, y) of each interval."""
    if spread := trace.get("error_x"):
        for x, y, more, less in zip(trace["x"], trace["y"], spread["array"], spread["arrayminus"], strict=True):
            if is_number(x):
                yield x - less, x + more, y


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and abs(value) < MAX_COORDINATE


def _marked(trace: Trace, points: Points) -> Points:
    """The points that get a marker: evenly chosen if the trace says how many, none if there are too many."""
    most = trace.get("marker", {}).get("maxdisplayed")
    if most:
        return points[:: -(-len(points) // most)] if points else []
    return points if len(points) <= MARKED_POINTS else []


def _pieces(trace: Trace) -> list[Points]:
    """The stretches between unknown values."""
    pieces: list[Points] = [[]]
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if is_number(x) and is_number(y):
            pieces[-1].append((x, y))
        else:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _thin(piece: Points, max_points: int) -> Points:
    """The lowest and highest point of each of max_points / 2 stretches, so that no spike is lost, and both ends."""
    if len(piece) <= max_points:
        return piece
    edges = [round(at * len(piece) / (max_points // 2)) for at in range(max_points // 2 + 1)]
    stretches = [sorted(piece[first:last], key=lambda point: point[1]) for first, last in pairwise(edges)]
    kept = chain.from_iterable(sorted({stretch[0], stretch[-1]}) for stretch in stretches)
    return [piece[0], *kept, piece[-1]]


def _line(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{SIDE * x.share(a):.1f} {SIDE * (1 - y.share(b)):.1f}" for a, b in points)


def trace_values(traces: Sequence[Trace], axis: str) -> list[float]:
    return [value for trace in traces for value in trace[axis] if is_number(value)]


STEPS = (1.0, 2.0, 5.0, 10.0)  # between ticks, times a power of ten


PADDING = 0.055  # of the values' span, as in Plotly


ROUNDING = 1e-9  # of a step, or of the span if that is less: 0.30000000000000004 is still inside 0.3


@dataclass(frozen=True)
class Scale:
    low: float
    high: float  # more than `low`

    def share(self, value: float) -> float:
        """0 at the low edge, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, max_steps: int, *, whole: bool = False) -> list[float]:
        """Round numbers from edge to edge, in at most `max_steps` steps; `whole`: no fractions."""
        rough = (self.high - self.low) / max_steps
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in STEPS if step * power >= rough * (1 - ROUNDING))
        if whole:
            step = max(1.0, step)
        slack = ROUNDING * min(1.0, (self.high - self.low) / step)
        first, last = math.ceil(self.low / step - slack), math.floor(self.high / step + slack)
        return [number * step for number in range(first, last + 1)]


def padded_scale(values: Sequence[float], *, from_zero: bool = False) -> Scale:
    """A scale of all values with padding. `from_zero`: includes zero, without padding below or above it."""
    if from_zero and not any(values):
        return Scale(0.0, 1.0)
    low, high = (min(*values, 0.0), max(*values, 0.0)) if from_zero else (min(values), max(values))
    room = PADDING * (high - low) or 0.1 * abs(high) or 1.0
    return Scale(
        low if from_zero and low == 0 < high else low - room, high if from_zero and high == 0 > low else high + room
    )


WIDTH, HEIGHT = 100.0, 24.0  # of the viewBox; a page stretches it


MAX_SPARKLINE_POINTS = 120  # more cannot be told apart


def sparkline_points(
    xs: Sequence[float], ys: Sequence[float | None], *, across: tuple[float, float], up: tuple[float, float]
) -> str:
    """The `points` of an SVG polyline, without unknown values. `across`: x of the left and right edge; `up`: y of the
    bottom and top edge."""
    (left, right), (low, high) = across, up
    known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and not math.isnan(y)]
    if len(known) > MAX_SPARKLINE_POINTS:
        stride = (len(known) - 1) / (MAX_SPARKLINE_POINTS - 1)
        known = [known[round(number * stride)] for number in range(MAX_SPARKLINE_POINTS)]
    return " ".join(f"{_share(x, left, right) * WIDTH:.1f},{(1 - _share(y, low, high)) * HEIGHT:.1f}" for x, y in known)


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
