"""Figures with several curves: the runs of a group with their mean and band; runs or groups overlaid.

A trace's `x` is in epochs and `meta.elapsed` in training seconds; `meta.steps` is the number of steps per epoch (null:
unknown), `meta.role` names its colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.charts.run_charts import Figure
from app.metrics.curves import Band, Curve, Floats, compute_band

MAX_FAINT_CURVES = 40  # single runs drawn behind a band; more cannot be told apart


def group_figure(curves: Sequence[Curve], mean: Band, target: float) -> Figure:
    """Each run's accuracy used for ranking as a faint line, their mean, and a band of one standard deviation."""
    traces = [_line(curve, "counted_accuracy", f"run {curve.run_id}", "faint") for curve in curves[:MAX_FAINT_CURVES]]
    if len(curves) > 1:
        traces += _banded(mean, "Mean", "validation", is_share=True)
    return {"traces": traces, "target": target, "percent": True}


def overlay_figure(
    named: Sequence[tuple[str, Sequence[Curve], int | None]], field: str, target: float | None
) -> Figure:
    """One curve per (name, curves, steps per epoch): a run's own, or a group's mean with its band."""
    traces: list[Figure] = []
    for number, (name, curves, steps) in enumerate(named):
        added: list[Figure] = []
        if len(curves) == 1:
            added = [_line(curves[0], field, name, str(number))]
        elif curves:
            added = _banded(compute_band(curves, field), name, str(number), is_share=field.endswith("accuracy"))
        for trace in added:
            trace["meta"]["steps"] = steps
        traces += added
    return {"traces": traces, "target": target, "percent": field.endswith("accuracy")}


def _banded(curve: Band, name: str, role: str, *, is_share: bool) -> list[Figure]:
    several = curve.n > 1
    epochs, elapsed = curve.epoch[several], curve.elapsed[several]
    low, high = (curve.mean - curve.sd)[several], (curve.mean + curve.sd)[several]
    if is_share:  # an accuracy is at most 1
        low, high = low.clip(0, 1), high.clip(0, 1)
    outline = {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name}, one standard deviation",
        "x": _to_json(np.r_[epochs, epochs[::-1]]),
        "y": _to_json(np.r_[high, low[::-1]]),
        "fill": "toself",
        "hoverinfo": "skip",
        "showlegend": False,
        "meta": {"role": role, "is_band": True, "elapsed": _to_json(np.r_[elapsed, elapsed[::-1]])},
    }
    mean = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _to_json(curve.epoch),
        "y": _to_json(curve.mean),
        "meta": {"role": role, "elapsed": _to_json(curve.elapsed)},
    }
    return [outline, mean] if several.any() else [mean]


def _line(curve: Curve, field: str, name: str, role: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _to_json(curve.epoch),
        "y": _to_json(getattr(curve, field)),
        "meta": {"role": role, "elapsed": _to_json(curve.elapsed)},
    }


def _to_json(values: Floats) -> list[Any]:
    """For JSON: not-a-number is null, six decimals are enough for a chart."""
    return [None if math.isnan(value) else value for value in np.round(values, 6).tolist()]
