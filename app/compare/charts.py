"""Charts of a comparison: overlaid curves, parallel coordinates and a scatter plot of settings and results.

Parallel coordinates are drawn as lines between 0 and 1: Plotly's own trace evaluates code, which our CSP forbids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.charts.curve_charts import Overlay, overlay_figure
from app.charts.run_charts import Figure
from app.compare.comparison import Comparison
from app.run_list.columns import setting_title
from app.runs.recipes import MISSING

MAX_AXES = 10
MAX_TICKS = 12  # of one axis; more would be illegible
LOG_AXIS_RATIO = 20.0  # of largest to smallest: above it an axis is logarithmic
Y_RANGES = {"all": "All values", "end": "Last third of the epochs", "best": "Within 2 points of the best"}
LATE = 2 / 3  # of a curve; after it comes the last third. As in static/js/curve_chart.js
NEAR_THE_BEST = 0.02  # a share
TOP_OF_SHARES = 1.002  # so that a line at 100 % is not cut in half
RESULTS = {
    "accuracy": ("Final accuracy (last epoch)", "share"),
    "best": ("Best accuracy", "share"),
    "time_to_target": ("Time to target", "seconds"),
    "seconds": ("Training time", "seconds"),
}


@dataclass(frozen=True)
class Axis:
    key: str
    title: str
    unit: str  # share, seconds, number or word
    values: list[Any]  # one for each side; None: not there


def curves_figure(found: Comparison, field: str) -> Figure:
    """For accuracies, with the target of the first side."""
    has_target = found.sides and field in ("counted_accuracy", "val_accuracy")
    target = float(found.sides[0].run.recipe["target_accuracy"]) if has_target else None
    return overlay_figure(
        [Overlay(side.name, side.curves, side.steps, side.look) for side in found.sides], field, target
    )


def find_y_ranges(figure: Figure) -> dict[str, tuple[float, float]]:
    """The lowest and highest value to show for each of Y_RANGES but `all`. `best` is for accuracies only."""
    late = [
        y
        for trace in figure["traces"]
        for x, y in zip(trace["x"], trace["y"], strict=True)
        if y is not None and x > LATE * max(trace["x"])
    ]
    if not late:
        return {}
    room = 0.05 * (max(late) - min(late)) or 0.05 * abs(max(late)) or 1.0
    found = {"end": (min(late) - room, max(late) + room)}
    if figure["percent"]:
        lines = [trace for trace in figure["traces"] if not trace["meta"].get("is_band")]
        best = max(y for trace in lines for y in trace["y"] if y is not None)
        found["best"] = (max(best - NEAR_THE_BEST, 0.0), best + NEAR_THE_BEST)
        found = {name: (low, min(high, TOP_OF_SHARES)) for name, (low, high) in found.items()}
    return found


def first_late_epoch(figure: Figure) -> float:
    """Where the last third of the shortest curve begins."""
    return min(LATE * float(max(trace["x"])) for trace in figure["traces"])


def build_axes(found: Comparison) -> list[Axis]:
    """Settings that differ, then results; without axes of fewer than two values."""
    settings = [_setting_axis(path, values) for path, values in found.differing]
    settings = [
        axis for axis in settings if len(_known(axis)) > 1 and (axis.unit == "number" or len(_known(axis)) <= MAX_TICKS)
    ]
    results = [
        Axis(key, title, unit, [getattr(side, key) for side in found.sides]) for key, (title, unit) in RESULTS.items()
    ]
    results = [axis for axis in results if len(_known(axis)) > 1]
    return settings[: MAX_AXES - len(results)] + results


def build_parallel_coordinates(found: Sequence[Axis]) -> list[dict[str, Any]]:
    """Each axis with the places of its values (0..1) and its tick labels."""
    return [{"title": axis.title, "places": _places(axis), "ticks": _ticks(axis)} for axis in found]


def _setting_axis(path: str, values: Sequence[Any]) -> Axis:
    known = [None if value is MISSING or value == "–" else value for value in values]
    is_number = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known if value is not None
    )
    shown = known if is_number else [None if value is None else str(value) for value in known]
    return Axis(path, setting_title(path), "number" if is_number else "word", shown)


def _known(axis: Axis) -> list[Any]:
    return sorted({value for value in axis.values if value is not None})


def _places(axis: Axis) -> list[float | None]:
    known = _known(axis)
    if axis.unit == "word":
        places = {value: (index + 0.5) / len(known) for index, value in enumerate(known)}
    else:
        scaled = _scaled(axis, known)
        span = scaled[-1] - scaled[0] or 1.0
        places = {value: float((place - scaled[0]) / span) for value, place in zip(known, scaled, strict=True)}
    return [None if value is None else places[value] for value in axis.values]


def _scaled(axis: Axis, known: Sequence[float]) -> Any:
    is_wide = axis.unit == "number" and known[0] > 0 and known[-1] / known[0] > LOG_AXIS_RATIO
    return np.log(known) if is_wide else np.array(known, np.float64)


def _ticks(axis: Axis) -> list[tuple[float, Any]]:
    """(place, value) of every word, or of the smallest and the largest number."""
    known, places = _known(axis), dict(zip(axis.values, _places(axis), strict=True))
    ends = known if axis.unit == "word" else list(dict.fromkeys([known[0], known[-1]]))
    return [(float(places[value] or 0.0), value) for value in ends]
