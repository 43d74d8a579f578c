"""Several curves in one picture: a group's runs with their mean and band; runs or groups laid over each other.

A trace's `x` is by epoch, `meta.elapsed` the same by training seconds, and `meta.steps` how many steps an epoch has
(null: not known); `meta.role` names its colour. Pure functions of arrays. Must not know the database or the browser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.charts.run_charts import Figure
from app.metrics.curves import Band, Curve, Floats, compute_band

MAX_FAINT_CURVES = 40  # single runs drawn behind a band; more are one grey


def of_group(curves: Sequence[Curve], together: Band, target: float) -> Figure:
    """Each run's accuracy, as it counts, as a faint line, their mean, and the band of one deviation to each side."""
    traces = [_line(curve, "counted_accuracy", f"run {curve.run_id}", "faint") for curve in curves[:MAX_FAINT_CURVES]]
    if len(curves) > 1:
        traces += _banded(together, "Mean", "validation", is_share=True)
    return {"traces": traces, "target": target, "percent": True}


def laid_over(named: Sequence[tuple[str, Sequence[Curve], int | None]], field: str, target: float | None) -> Figure:
    """One line each, by name and steps per epoch: a run's own curve, or a group's mean with its band."""
    traces: list[Figure] = []
    for number, (name, curves, steps) in enumerate(named):
        made: list[Figure] = []
        if len(curves) == 1:
            made = [_line(curves[0], field, name, str(number))]
        elif curves:
            made = _banded(compute_band(curves, field), name, str(number), is_share=field.endswith("accuracy"))
        for trace in made:
            trace["meta"]["steps"] = steps
        traces += made
    return {"traces": traces, "target": target, "percent": field.endswith("accuracy")}


def _banded(found: Band, name: str, role: str, *, is_share: bool) -> list[Figure]:
    several = found.n > 1
    epochs, elapsed = found.epoch[several], found.elapsed[several]
    low, high = (found.mean - found.sd)[several], (found.mean + found.sd)[several]
    if is_share:  # no run can be better than all pictures
        low, high = low.clip(0, 1), high.clip(0, 1)
    outline = {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name}, one deviation",
        "x": _plain(np.r_[epochs, epochs[::-1]]),
        "y": _plain(np.r_[high, low[::-1]]),
        "fill": "toself",
        "hoverinfo": "skip",
        "showlegend": False,
        "meta": {"role": role, "is_band": True, "elapsed": _plain(np.r_[elapsed, elapsed[::-1]])},
    }
    mean = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _plain(found.epoch),
        "y": _plain(found.mean),
        "meta": {"role": role, "elapsed": _plain(found.elapsed)},
    }
    return [outline, mean] if several.any() else [mean]


def _line(curve: Curve, field: str, name: str, role: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _plain(curve.epoch),
        "y": _plain(getattr(curve, field)),
        "meta": {"role": role, "elapsed": _plain(curve.elapsed)},
    }


def _plain(values: Floats) -> list[Any]:
    """For JSON: not-a-number is null, and no digits that nobody sees."""
    return [None if math.isnan(value) else value for value in np.round(values, 6).tolist()]
