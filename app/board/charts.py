"""The board as a picture: each recipe a line, each run a dot, the mean's interval a bar. Pure functions of rows.

Must not know the database or the browser.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.board.metrics import Metric
from app.board.published import Published
from app.board.ranking import Board
from app.charts.run_charts import Figure
from app.metrics import accuracy

MAX_ROWS = 15  # more would be too small to read


def of_board(board: Board, metric: Metric, published: Sequence[Published]) -> Figure | None:
    """None where nothing is ranked."""
    rows = [row for row in board.rows if row.rank is not None][:MAX_ROWS]
    if not rows:
        return None
    names = [f"{row.rank}. {row.run.name}{', TTA' if accuracy.has_tta(row.run.recipe) else ''}" for row in rows]
    dots = [(number, name) for row, name in zip(rows, names, strict=True) for number in row.numbers]
    values = [row.value for row in rows]
    bars = [row.spread if not metric.reaches else None for row in rows]
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
            "name": "Median, misses counted" if metric.reaches else "Mean and its 95 % interval",
            "x": values,
            "y": names,
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [_beyond(_end(bar.high, metric), bar.mean) if bar else 0.0 for bar in bars],
                "arrayminus": [_beyond(bar.mean, _end(bar.low, metric)) if bar else 0.0 for bar in bars],
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


def _end(value: float | None, metric: Metric) -> float | None:
    """Of an interval: no share lies beyond 0 or 1."""
    return value if value is None or metric.unit != "share" else min(max(value, 0.0), 1.0)


def _beyond(larger: float | None, smaller: float | None) -> float:
    return 0.0 if larger is None or smaller is None else larger - smaller
