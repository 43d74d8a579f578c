"""The chart of the board: a line for each recipe, a dot for each run, a bar for the interval of the mean."""

from __future__ import annotations

from collections.abc import Sequence

from app.board.published import Published
from app.board.ranking import Board, RankedRecipe
from app.charts.run_charts import Figure
from app.metrics import accuracy

MAX_ROWS = 15  # more would be illegible


def board_figure(board: Board, published: Sequence[Published]) -> Figure | None:
    """None if no row is ranked."""
    metric, rows = board.metric, [row for row in board.rows if row.rank is not None][:MAX_ROWS]
    if not rows:
        return None
    names = [f"{row.rank}. {row.run.name}{', TTA' if accuracy.has_tta(row.run.recipe) else ''}" for row in rows]
    dots = [(number, name) for row, name in zip(rows, names, strict=True) for number in row.numbers]
    values = [row.value for row in rows]
    bars = [_bar(row) for row in rows]
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
            "name": f"{'Median' if metric.is_to_target else 'Mean'} and its 95 % interval",
            "x": values,
            "y": names,
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [above for _, above in bars],
                "arrayminus": [below for below, _ in bars],
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


def _bar(row: RankedRecipe) -> tuple[float, float]:
    """Lengths of the error bar below and above the value. An interval without an end is drawn to the longest run."""
    if row.interval is None or row.value is None:
        return 0.0, 0.0
    low, high = row.interval
    return row.value - low, (max(row.numbers) if high is None else high) - row.value
