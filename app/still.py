"""A Plotly figure as a still picture: the lines of an SVG, and words with their places in per cent of the drawing.

What a page shows before somebody handles its charts, and all that it shows without JavaScript. The browser then draws
the same figure with Plotly in its place. Pure; must not know the page, the database or what the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeGuard

from app.scale import Scale, around

SIDE = 1000  # of the viewBox; a page stretches it
MOST_POINTS = 4000  # of one picture, in all its lines: more are bytes that nobody sees
FEWEST_POINTS = 60  # of a line
MARKED_POINTS = 60  # as static/js/dress.js: more dots than that are a thicker line
NAMED = 16  # as static/js/curves.js: more names would leave no room for the curves
TURNS = 8  # colours in turn: tokens.css
NOTHING_YET = "The first point appears when epoch 1 ends"

Figure = dict[str, Any]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Path:
    """`kind`: what the style sheet calls it. `token`: of its colour. `d`: as SVG has it."""

    kind: str
    token: str
    d: str


@dataclass(frozen=True)
class Word:
    text: str
    across: float = 0.0  # per cent from the left
    down: float = 0.0  # per cent from the top


@dataclass(frozen=True)
class Still:
    title: str  # of the horizontal axis
    legend: Sequence[tuple[str, str]] = ()  # name and token
    paths: Sequence[Path] = ()
    across: Sequence[Word] = ()  # along the foot
    up: Sequence[Word] = ()  # along the left side; names where `has_names`
    right: Sequence[Word] = ()  # along the right side, where a second axis is
    notes: Sequence[Word] = ()
    has_names: bool = False


def still(figure: Figure) -> Still:
    """`figure`: as charts.py, group_charts.py and board_charts.py make them."""
    names, marks = figure.get("names"), figure.get("marks", [])
    traces = [_placed(trace, names) for trace in figure["traces"]] if names else figure["traces"]
    first, second = ([one for one in traces if ("yaxis" in one) is is_second] for is_second in (False, True))
    foot = figure.get("across", {})
    title = foot.get("title", "Epoch")
    if not _values(first, "y"):
        return Still(title, notes=[Word(NOTHING_YET, 50.0, 50.0)])
    x, y = _across(figure, traces), _up(figure, first)
    y2 = around(_values(second, "y")) if _values(second, "y") else None
    most = max(FEWEST_POINTS, MOST_POINTS // len(traces))
    drawn = [_paths(one, x, (y2 or y) if "yaxis" in one else y, most) for one in traces]
    legend = [(str(one["name"]), _token(one)) for one in traces if _is_named(one)]
    percent = figure.get("layout", {}).get("yaxis", {}).get("tickformat") or (".1%" if figure.get("percent") else "")
    return Still(
        title,
        legend if len(legend) <= NAMED else [],
        [*_rules(figure, x, y), *chain.from_iterable(drawn)],
        [
            Word(_said(at, foot.get("tickformat", "")), across=100 * x.share(at))
            for at in x.ticks(8, whole="across" not in figure)
        ],
        [Word(name, down=_top(y, -at)) for at, name in enumerate(names)]
        if names
        else [Word(_said(at, percent), down=_top(y, at)) for at in y.ticks(5)],
        [Word(_said(at), down=_top(y2, at)) for at in y2.ticks(5)] if y2 else [],
        [_note(mark, at, x, y) for at, mark in enumerate(marks) if at < 6 and x.low <= mark["x"] <= x.high],
        has_names=bool(names),
    )


def _placed(trace: Figure, names: Sequence[str]) -> Figure:
    """Where names stand up the side: how far down each is, as a number."""
    down = {name: -float(at) for at, name in enumerate(names)}
    return trace | {"y": [down[name] for name in trace["y"]]}


def _across(figure: Figure, traces: Sequence[Figure]) -> Scale:
    if "epochs" in figure:
        return Scale(0.0, float(figure["epochs"]))
    values = [*_values(traces, "x"), *chain.from_iterable((left, right) for left, right, _ in _whiskers(traces))]
    if figure.get("across", {}).get("rangemode") == "tozero":
        return Scale(0.0, 1.08 * max(values) or 1.0)
    if any(trace["type"] == "bar" for trace in traces):
        return Scale(min(values) - 0.5, max(values) + 0.5)
    has_dots = any("markers" in trace.get("mode", "") for trace in traces)
    return around(values) if has_dots or min(values) == max(values) else Scale(min(values), max(values))


def _up(figure: Figure, traces: Sequence[Figure]) -> Scale:
    if "names" in figure:
        return Scale(0.5 - len(figure["names"]), 0.5)
    is_from_zero = figure.get("layout", {}).get("yaxis", {}).get("rangemode") == "tozero"
    has_bars = any(trace["type"] == "bar" for trace in traces)
    return around(_values(traces, "y"), from_zero=is_from_zero or has_bars)


def _paths(trace: Figure, x: Scale, y: Scale, most: int) -> Iterable[Path]:
    token, mode, role = _token(trace), trace.get("mode", ""), trace["meta"]["role"]
    if trace["meta"].get("is_band"):
        points = list(zip(trace["x"], trace["y"], strict=True))
        yield Path("band", token, f"{_line(points[:: len(points) // most + 1], x, y)}Z")
        return
    pieces = [_thinned(piece, most) for piece in _pieces(trace)]
    points = list(chain.from_iterable(pieces))
    if trace["type"] == "bar":
        yield Path(
            "fill",
            token,
            "".join(f"{_line([(a - 0.4, 0), (a - 0.4, b), (a + 0.4, b), (a + 0.4, 0)], x, y)}Z" for a, b in points),
        )
    if "lines" in mode:
        yield Path(f"line {role}", token, "".join(_line(piece, x, y) for piece in pieces))
    if "markers" in mode and ("lines" not in mode or len(points) <= MARKED_POINTS):
        kind = "point" if "lines" in mode else f"{role}"
        yield Path(kind, token, "".join(f"{_line([one], x, y)}h0" for one in points))
    if "error_x" in trace:
        yield Path("whisker", token, "".join(_line([(a, at), (b, at)], x, y) for a, b, at in _whiskers([trace])))


def _rules(figure: Figure, x: Scale, y: Scale) -> Iterable[Path]:
    """The target, and values of others that a whole column or row is compared with."""
    if (target := figure.get("target")) is not None and y.low <= target <= y.high:
        yield Path("rule", "--chart-target", _line([(x.low, target), (x.high, target)], x, y))
    for mark in figure.get("marks", []):
        if "y" not in mark and x.low <= mark["x"] <= x.high:
            yield Path("rule", "--chart-target", _line([(mark["x"], y.low), (mark["x"], y.high)], x, y))


def _note(mark: Figure, at: int, x: Scale, y: Scale) -> Word:
    """Beside its point, or, of a line from top to bottom, one below the other."""
    down = _top(y, mark["y"]) if "y" in mark else 4.0 + 8.0 * at
    return Word(mark["text"], 100 * x.share(mark["x"]), down)


def _whiskers(traces: Sequence[Figure]) -> Iterable[tuple[float, float, float]]:
    """(left, right, how far up) of each interval."""
    for trace in traces:
        if spread := trace.get("error_x"):
            for x, y, more, less in zip(trace["x"], trace["y"], spread["array"], spread["arrayminus"], strict=True):
                if x is not None:
                    yield x - less, x + more, y


def _pieces(trace: Figure) -> list[Points]:
    """What lies between unknown values."""
    pieces: list[Points] = [[]]
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if x is None or not _is_number(y):
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def _thinned(piece: Points, most: int) -> Points:
    """The lowest and the highest of each of some stretches, so that no spike is lost, and both ends."""
    if len(piece) <= most:
        return piece
    edges = [round(at * len(piece) / (most // 2)) for at in range(most // 2 + 1)]
    some = [sorted(piece[first:last], key=lambda point: point[1]) for first, last in pairwise(edges)]
    kept = chain.from_iterable(sorted({stretch[0], stretch[-1]}) for stretch in some)
    return [piece[0], *kept, piece[-1]]


def _line(points: Points, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{SIDE * x.share(a):.1f} {SIDE * (1 - y.share(b)):.1f}" for a, b in points)


def _token(trace: Figure) -> str:
    role = str(trace["meta"]["role"])
    return f"--turn-{int(role) % TURNS}" if role.isdigit() else f"--chart-{role}"


def _is_named(trace: Figure) -> bool:
    return bool(trace.get("showlegend", True)) and trace["meta"]["role"] != "faint"


def _values(traces: Sequence[Figure], of: str) -> list[float]:
    return [value for trace in traces for value in trace[of] if _is_number(value)]


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _top(scale: Scale, value: float) -> float:
    return 100 * (1 - scale.share(value))


def _said(value: float, spelled: str = "") -> str:
    """`spelled`: as Plotly and Python spell a number alike."""
    return (format(value, spelled) if spelled else f"{value:.4g}").replace("-", "−")
