"""The chart of the board: a line for each recipe, a dot for each run, a bar for the interval of the mean."""

from __future__ import annotations

from collections.abc import Sequence

from app.board.metrics import Metric
from app.board.published import Published
from app.board.ranking import Board
from app.charts.run_charts import Figure
from app.metrics import accuracy

MAX_ROWS = 15  # more would be illegible


def board_figure(board: Board, metric: Metric, published: Sequence[Published]) -> Figure | None:
    """None if no row is ranked."""
    rows = [row for row in board.rows if row.rank is not None][:MAX_ROWS]
    if not rows:
        return None
    names = [f"{row.rank}. {row.run.name}{', TTA' if accuracy.has_tta(row.run.recipe) else ''}" for row in rows]
    dots = [(number, name) for row, name in zip(rows, names, strict=True) for number in row.numbers]
    values = [row.value for row in rows]
    bars = [row.spread if not metric.is_to_target else None for row in rows]
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Runs",
            "x": [number for number, _ in dots],
            "y": [name for _, name in dots],
            "meta": {"role": "run"},
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Median, misses included" if metric.is_to_target else "Mean and its 95 % interval",
            "x": values,
            "y": names,
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [_error_length(_clipped(bar.high, metric), bar.mean) if bar else 0.0 for bar in bars],
                "arrayminus": [_error_length(bar.mean, _clipped(bar.low, metric)) if bar else 0.0 for bar in bars],
            },
            "meta": {"role": "mean"},
        },
    ]
    marks = [
        {"x": one.seconds if metric.name == "time_to_target" else one.accuracy, "text": f"{one.name}, {one.hardware}"}
        for one in published
    ]
    is_share = metric.unit == "share"
    across = {
        "title": metric.title if is_share else f"{metric.title} ({metric.unit})",
        "tickformat": ".1%" if is_share else "",
        "rangemode": "normal" if is_share else "tozero",
    }
    return {"traces": traces, "names": names, "across": across, "marks": marks}


def _clipped(value: float | None, metric: Metric) -> float | None:
    """The end of an interval: a share stays between 0 and 1."""
    return value if value is None or metric.unit != "share" else min(max(value, 0.0), 1.0)


def _error_length(larger: float | None, smaller: float | None) -> float:
    return 0.0 if larger is None or smaller is None else larger - smaller
