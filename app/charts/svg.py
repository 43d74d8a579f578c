"""Draws a Plotly figure as static SVG paths, and labels positioned in per cent of the drawing.

Pages show these before somebody interacts with a chart, when Plotly replaces it, and always without JavaScript.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from app.charts.svg_paths import (
    Path,
    Scale,
    dash_of,
    is_number,
    kind_of,
    padded_scale,
    reference_line,
    token_of,
    trace_paths,
    trace_values,
    whiskers,
)

MAX_POINTS = 4000  # of one figure, shared by its lines; more would not be visible
MIN_POINTS = 60  # of a line
MAX_LEGEND_ENTRIES = 16  # as in static/js/curve_chart.js: more leave no room for the curves
MAX_NOTES = 6
THOUSAND = 1000.0  # from 10,000, numbers get an SI letter, as in Plotly
NO_DATA = "Nothing was measured"

Figure = dict[str, Any]


@dataclass(frozen=True)
class Label:
    text: str
    across: float = 0.0  # per cent from the left
    down: float = 0.0  # per cent from the top
    kind: str = ""  # alone; left or right of its position; above (a target's line)


@dataclass(frozen=True)
class LegendEntry:
    """A trace's name, with the `kind`, `token` and `dash` of its path."""

    text: str
    kind: str
    token: str
    dash: str = ""


@dataclass(frozen=True)
class StaticChart:
    title: str  # of the horizontal axis
    legend: Sequence[LegendEntry] = ()
    paths: Sequence[Path] = ()
    across: Sequence[Label] = ()  # along the bottom
    up: Sequence[Label] = ()  # along the left; names if `has_names`
    right: Sequence[Label] = ()  # along the right, for a second axis
    notes: Sequence[Label] = ()
    has_names: bool = False
    is_clipped: bool = False  # to the edges of the drawing


def static_chart(figure: Figure) -> StaticChart:
    """`figure`: a dict as the other modules of this folder and app/board/charts.py make it."""
    names, axis = figure.get("names"), figure.get("across", {})
    traces = [_placed(trace, names) for trace in figure["traces"]] if names else figure["traces"]
    first, second = ([one for one in traces if ("yaxis" in one) is is_second] for is_second in (False, True))
    title = axis.get("title", "Epoch")
    if not trace_values(first, "x") or not trace_values(first, "y"):
        return StaticChart(title, notes=[Label(figure.get("empty", NO_DATA), 50.0, 50.0, "alone")])
    x, y = _across(figure, traces), _up(figure, first)
    y2 = padded_scale(trace_values(second, "y")) if trace_values(second, "y") else None
    most = max(MIN_POINTS, MAX_POINTS // len(traces))
    drawn = [trace_paths(one, x, (y2 or y) if "yaxis" in one else y, most) for one in traces]
    legend = [
        LegendEntry(str(one["name"]), kind_of(one), token_of(one), dash_of(one)) for one in traces if _is_named(one)
    ]
    return StaticChart(
        title,
        legend if len(legend) <= MAX_LEGEND_ENTRIES and figure.get("has_legend", True) else [],
        [*_rules(figure, x, y), *chain.from_iterable(drawn)],
        [Label(_format(at, axis.get("tickformat")), across=100 * x.share(at)) for at in x.ticks(8, whole=not axis)],
        [Label(name, down=_top(y, -at)) for at, name in enumerate(names)] if names else _up_the_side(figure, y),
        [Label(_format(at), down=_top(y2, at)) for at in y2.ticks(5)] if y2 else [],
        list(_notes(figure, x, y)),
        has_names=bool(names),
        is_clipped=bool(figure.get("y_range")),
    )


def _placed(trace: Figure, names: Sequence[str]) -> Figure:
    """Replace a trace's names by their positions: the first at 0, the next at -1, …"""
    down = {name: -float(at) for at, name in enumerate(names)}
    return trace | {"y": [down[name] for name in trace["y"]]}


def _across(figure: Figure, traces: Sequence[Figure]) -> Scale:
    if "epochs" in figure:
        return Scale(0.0, float(figure["epochs"]))
    known = [
        *trace_values(traces, "x"),
        *(end for one in traces for left, right, _ in whiskers(one) for end in (left, right)),
    ]
    if figure.get("across", {}).get("rangemode") == "tozero":
        return Scale(0.0, 1.08 * max(known) or 1.0)
    if "x_from" in figure:
        return Scale(figure["x_from"], max(known))
    if any(trace["type"] == "bar" for trace in traces):
        return Scale(min(known) - 0.5, max(known) + 0.5)
    has_dots = any("markers" in trace.get("mode", "") for trace in traces)
    return padded_scale(known) if has_dots or min(known) == max(known) else Scale(min(known), max(known))


def _up(figure: Figure, traces: Sequence[Figure]) -> Scale:
    """A range chosen for the figure; else of all values and the target, as in Plotly."""
    if chosen := figure.get("y_range"):
        return Scale(*chosen)
    if "names" in figure:
        return Scale(0.5 - len(figure["names"]), 0.5)
    target = figure.get("target")
    known = [*trace_values(traces, "y"), *([target] if target else [])]
    is_from_zero = figure.get("layout", {}).get("yaxis", {}).get("rangemode") == "tozero"
    has_bars = any(trace["type"] == "bar" for trace in traces)
    return padded_scale(known, from_zero=is_from_zero or has_bars)


def _up_the_side(figure: Figure, y: Scale) -> list[Label]:
    spec = figure.get("layout", {}).get("yaxis", {}).get("tickformat") or (".1%" if figure.get("percent") else None)
    return [Label(_format(at, spec), down=_top(y, at)) for at in y.ticks(5)]


def _rules(figure: Figure, x: Scale, y: Scale) -> Iterator[Path]:
    if (target := figure.get("target")) and y.low <= target <= y.high:
        yield reference_line([(x.low, target), (x.high, target)], x, y)
    for mark in _marks(figure, x):
        if "y" not in mark:
            yield reference_line([(mark["x"], y.low), (mark["x"], y.high)], x, y)


def _notes(figure: Figure, x: Scale, y: Scale) -> Iterator[Label]:
    """Labels beside marked points, of vertical lines one below the other, and above the target's line."""
    for at, mark in enumerate(_marks(figure, x)[:MAX_NOTES]):
        across = 100 * x.share(mark["x"])
        down = _top(y, mark["y"]) if "y" in mark else 4.0 + 8.0 * at
        yield Label(mark["text"], across, down, "left" if across > 50 else "right")
    if (target := figure.get("target")) and y.low <= target <= y.high:
        yield Label(f"target {target:.2%}".replace("%", " %"), 0.0, _top(y, target), "above")


def _marks(figure: Figure, x: Scale) -> list[Figure]:
    return [mark for mark in figure.get("marks", []) if is_number(mark["x"]) and x.low <= mark["x"] <= x.high]


def _is_named(trace: Figure) -> bool:
    return bool(trace.get("showlegend", True)) and trace["meta"]["role"] != "faint"


def _top(scale: Scale, value: float) -> float:
    return 100 * (1 - scale.share(value))


def _format(value: float, spec: str | None = None) -> str:
    """`spec`: a format that Plotly and Python share."""
    if spec:
        return format(value, spec).replace("-", "−")
    letters = iter(("", "k", "M", "G", "T"))
    letter = next(letters)
    while abs(value) >= (THOUSAND if letter else 10 * THOUSAND) and letter != "T":
        value, letter = value / THOUSAND, next(letters)
    return f"{value:.4g}{letter}".replace("-", "−")
