"""The traces of a Plotly figure as paths of an SVG: lines, dots, bars, bands, intervals. Pure; must not know words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeGuard

from app.charts.scale import Scale

SIDE = 1000  # of the viewBox; a page stretches it
MARKED_POINTS = 60  # as static/js/dress.js: more dots than that are a thicker line
TURNS = 8  # colours in turn: tokens.css
LARGEST = 1e300  # beyond it, sums overflow

Trace = dict[str, Any]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Path:
    """`kind`: what the style sheet calls it. `token`: of its colour. `d`: as SVG has it."""

    kind: str
    token: str
    d: str


def of_trace(trace: Trace, x: Scale, y: Scale, most: int) -> Iterator[Path]:
    """`most`: points of a line that are drawn; of a longer one its lowest and highest everywhere."""
    token, mode = token_of(trace), trace.get("mode", "")
    if trace["meta"].get("is_band"):
        points = list(chain.from_iterable(_pieces(trace)))
        yield Path("band", token, f"{_line(points[:: len(points) // most + 1], x, y)}Z")
        return
    pieces = [_thinned(piece, most) for piece in _pieces(trace)]
    points = list(chain.from_iterable(pieces))
    if trace["type"] == "bar":
        outlines = [[(a - 0.4, 0.0), (a - 0.4, b), (a + 0.4, b), (a + 0.4, 0.0)] for a, b in points]
        yield Path("fill", token, "".join(f"{_line(outline, x, y)}Z" for outline in outlines))
    if "lines" in mode:
        yield Path(kind_of(trace), token, "".join(_line(piece, x, y) for piece in pieces))
    if "error_x" in trace:
        yield Path("whisker", token, "".join(_line([(a, at), (b, at)], x, y) for a, b, at in whiskers(trace)))
    if "lines" not in mode and "markers" in mode:
        half = SIDE * 0.25 / (y.high - y.low)
        mark = f"m0 {-half:.1f}v{2 * half:.1f}" if kind_of(trace) == "mean" else "h0"  # upright, or a dot
        yield Path(kind_of(trace), token, "".join(_line([one], x, y) + mark for one in points))
    elif "markers" in mode and len(points) <= MARKED_POINTS:
        yield Path("point", token, "".join(f"{_line([one], x, y)}h0" for one in points))


def rule(ends: Points, x: Scale, y: Scale) -> Path:
    """What others are compared with: a target, a published result."""
    return Path("rule", "--chart-target", _line(ends, x, y))


def token_of(trace: Trace) -> str:
    role = str(trace["meta"]["role"])
    return f"--turn-{int(role) % TURNS}" if role.isdigit() else f"--chart-{role}"


def kind_of(trace: Trace) -> str:
    """Dots are called by their role; lines also by whether their colour was there before."""
    role = str(trace["meta"]["role"])
    if trace["type"] == "bar":
        return "fill"
    if "lines" not in trace.get("mode", ""):
        return role
    return "line again" if role.isdigit() and int(role) >= TURNS else f"line {role}"


def whiskers(trace: Trace) -> Iterator[tuple[float, float, float]]:
    """(left, right, how far up) of each interval."""
    if spread := trace.get("error_x"):
        for x, y, more, less in zip(trace["x"], trace["y"], spread["array"], spread["arrayminus"], strict=True):
            if is_number(x):
                yield x - less, x + more, y


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and abs(value) < LARGEST


def _pieces(trace: Trace) -> list[Points]:
    """What lies between unknown values."""
    pieces: list[Points] = [[]]
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if is_number(x) and is_number(y):
            pieces[-1].append((x, y))
        else:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _thinned(piece: Points, most: int) -> Points:
    """The lowest and the highest of each of some stretches, so that no spike is lost, and both ends."""
    if len(piece) <= most:
        return piece
    edges = [round(at * len(piece) / (most // 2)) for at in range(most // 2 + 1)]
    some = [sorted(piece[first:last], key=lambda point: point[1]) for first, last in pairwise(edges)]
    kept = chain.from_iterable(sorted({stretch[0], stretch[-1]}) for stretch in some)
    return [piece[0], *kept, piece[-1]]


def _line(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{SIDE * x.share(a):.1f} {SIDE * (1 - y.share(b)):.1f}" for a, b in points)


def values(traces: Sequence[Trace], of: str) -> list[float]:
    return [value for trace in traces for value in trace[of] if is_number(value)]
