"""A Plotly figure as static SVG: the paths of an SVG, and words with their places in per cent of the drawing.

What a page shows before somebody handles its charts, and all that it shows without JavaScript. The browser then draws
the same figure with Plotly in its place. Pure; must not know the page, the database or what the numbers are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from app.charts.svg_paths import Path, Scale, around, is_number, kind_of, of_trace, rule, token_of, values, whiskers

MAX_POINTS = 4000  # of one picture, shared by its lines: more are bytes that nobody sees
MIN_POINTS = 60  # of a line
NAMED = 16  # as static/js/curve_chart.js: more names would leave no room for the curves
MAX_NOTES = 6
THOUSAND = 1000.0  # from ten of them, numbers are said with a letter, as Plotly says them
NOTHING = "Nothing was measured"

Figure = dict[str, Any]


@dataclass(frozen=True)
class Word:
    text: str
    across: float = 0.0  # per cent from the left
    down: float = 0.0  # per cent from the top
    kind: str = ""  # where it stands: alone, left or right of its place, above (of a target)


@dataclass(frozen=True)
class Name:
    """Of a trace. `kind` and `token`: of its path."""

    text: str
    kind: str
    token: str


@dataclass(frozen=True)
class StaticChart:
    title: str  # of the horizontal axis
    legend: Sequence[Name] = ()
    paths: Sequence[Path] = ()
    across: Sequence[Word] = ()  # along the foot
    up: Sequence[Word] = ()  # along the left side; names where `has_names`
    right: Sequence[Word] = ()  # along the right side, where a second axis is
    notes: Sequence[Word] = ()
    has_names: bool = False


def static_chart(figure: Figure) -> StaticChart:
    """`figure`: as charts.py, group_charts.py and board_charts.py make them."""
    names, foot = figure.get("names"), figure.get("across", {})
    traces = [_placed(trace, names) for trace in figure["traces"]] if names else figure["traces"]
    first, second = ([one for one in traces if ("yaxis" in one) is is_second] for is_second in (False, True))
    title = foot.get("title", "Epoch")
    if not values(first, "x") or not values(first, "y"):
        return StaticChart(title, notes=[Word(figure.get("empty", NOTHING), 50.0, 50.0, "alone")])
    x, y = _across(figure, traces), _up(figure, first)
    y2 = around(values(second, "y")) if values(second, "y") else None
    most = max(MIN_POINTS, MAX_POINTS // len(traces))
    drawn = [of_trace(one, x, (y2 or y) if "yaxis" in one else y, most) for one in traces]
    legend = [Name(str(one["name"]), kind_of(one), token_of(one)) for one in traces if _is_named(one)]
    return StaticChart(
        title,
        legend if len(legend) <= NAMED else [],
        [*_rules(figure, x, y), *chain.from_iterable(drawn)],
        [Word(_said(at, foot.get("tickformat")), across=100 * x.share(at)) for at in x.ticks(8, whole=not foot)],
        [Word(name, down=_top(y, -at)) for at, name in enumerate(names)] if names else _up_the_side(figure, y),
        [Word(_said(at), down=_top(y2, at)) for at in y2.ticks(5)] if y2 else [],
        list(_notes(figure, x, y)),
        has_names=bool(names),
    )


def _placed(trace: Figure, names: Sequence[str]) -> Figure:
    """Where names stand up the side: how far down each is, as a number."""
    down = {name: -float(at) for at, name in enumerate(names)}
    return trace | {"y": [down[name] for name in trace["y"]]}


def _across(figure: Figure, traces: Sequence[Figure]) -> Scale:
    if "epochs" in figure:
        return Scale(0.0, float(figure["epochs"]))
    known = [
        *values(traces, "x"),
        *(end for one in traces for left, right, _ in whiskers(one) for end in (left, right)),
    ]
    if figure.get("across", {}).get("rangemode") == "tozero":
        return Scale(0.0, 1.08 * max(known) or 1.0)
    if any(trace["type"] == "bar" for trace in traces):
        return Scale(min(known) - 0.5, max(known) + 0.5)
    has_dots = any("markers" in trace.get("mode", "") for trace in traces)
    return around(known) if has_dots or min(known) == max(known) else Scale(min(known), max(known))


def _up(figure: Figure, traces: Sequence[Figure]) -> Scale:
    """With the target, as Plotly has it."""
    if "names" in figure:
        return Scale(0.5 - len(figure["names"]), 0.5)
    target = figure.get("target")
    known = [*values(traces, "y"), *([target] if target else [])]
    is_from_zero = figure.get("layout", {}).get("yaxis", {}).get("rangemode") == "tozero"
    has_bars = any(trace["type"] == "bar" for trace in traces)
    return around(known, from_zero=is_from_zero or has_bars)


def _up_the_side(figure: Figure, y: Scale) -> list[Word]:
    spelled = figure.get("layout", {}).get("yaxis", {}).get("tickformat") or (".1%" if figure.get("percent") else None)
    return [Word(_said(at, spelled), down=_top(y, at)) for at in y.ticks(5)]


def _rules(figure: Figure, x: Scale, y: Scale) -> Iterator[Path]:
    if target := figure.get("target"):
        yield rule([(x.low, target), (x.high, target)], x, y)
    for mark in _marks(figure, x):
        if "y" not in mark:
            yield rule([(mark["x"], y.low), (mark["x"], y.high)], x, y)


def _notes(figure: Figure, x: Scale, y: Scale) -> Iterator[Word]:
    """Beside its point; of a line from top to bottom one below the other; above the target's line."""
    for at, mark in enumerate(_marks(figure, x)[:MAX_NOTES]):
        across = 100 * x.share(mark["x"])
        down = _top(y, mark["y"]) if "y" in mark else 4.0 + 8.0 * at
        yield Word(mark["text"], across, down, "left" if across > 50 else "right")
    if target := figure.get("target"):
        yield Word(f"target {target:.2%}".replace("%", " %"), 0.0, _top(y, target), "above")


def _marks(figure: Figure, x: Scale) -> list[Figure]:
    return [mark for mark in figure.get("marks", []) if is_number(mark["x"]) and x.low <= mark["x"] <= x.high]


def _is_named(trace: Figure) -> bool:
    return bool(trace.get("showlegend", True)) and trace["meta"]["role"] != "faint"


def _top(scale: Scale, value: float) -> float:
    return 100 * (1 - scale.share(value))


def _said(value: float, spelled: str | None = None) -> str:
    """`spelled`: as Plotly and Python spell a number alike."""
    if spelled:
        return format(value, spelled).replace("-", "−")
    letters = iter(("", "k", "M", "G", "T"))
    letter = next(letters)
    while abs(value) >= (THOUSAND if letter else 10 * THOUSAND) and letter != "T":
        value, letter = value / THOUSAND, next(letters)
    return f"{value:.4g}{letter}".replace("-", "−")
