"""Figures with several curves: the runs of a group with their mean and band; runs or groups overlaid.

A trace's `x` is in epochs and `meta.elapsed` in training seconds; `meta.steps` is the number of steps per epoch (null:
unknown), `meta.role` numbers the overlaid runs and groups, `meta.token` names the colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.charts.palette import DASHES, MARKERS, MAX_MARKERS, Look, color_of_recipe
from app.charts.run_charts import Figure
from app.metrics.curves import Band, Curve, Floats, compute_band

MAX_FAINT_CURVES = 40  # single runs drawn behind a band; more cannot be told apart


def group_figure(curves: Sequence[Curve], mean: Band, target: float, recipe_hash: str) -> Figure:
    """Each run's accuracy used for ranking as a faint line, their mean, and a band of one standard deviation, in the
    recipe's own colour.
    """
    traces = [_line(curve, "counted_accuracy", f"run {curve.run_id}", "faint") for curve in curves[:MAX_FAINT_CURVES]]
    if len(curves) > 1:
        banded = _banded(mean, "Mean", "validation", is_share=True)
        for trace in banded:
            trace["meta"]["token"] = Look(color_of_recipe(recipe_hash)).token
        traces += banded
    return {"traces": traces, "target": target, "percent": True}


@dataclass(frozen=True)
class Overlay:
    """A run with its curve, or a group with the curves of its runs."""

    name: str
    curves: Sequence[Curve]
    steps: int | None  # per epoch; None: not known yet
    look: Look


def overlay_figure(overlays: Sequence[Overlay], field: str, target: float | None) -> Figure:
    """One line for each: a run's own, or a group's mean with its band."""
    traces: list[Figure] = []
    for number, one in enumerate(overlays):
        added: list[Figure] = []
        if len(one.curves) == 1:
            added = [_line(one.curves[0], field, one.name, str(number))]
        elif one.curves:
            band = compute_band(one.curves, field)
            added = _banded(band, one.name, str(number), is_share=field.endswith("accuracy"))
        for trace in added:
            trace["meta"] |= {"token": one.look.token, "steps": one.steps}
            if not trace["meta"].get("is_band"):
                _dress(trace, one.look)
        traces += added
    return {"traces": traces, "target": target, "percent": field.endswith("accuracy")}


def _dress(trace: Figure, look: Look) -> None:
    if dash := DASHES[look.dash]:
        trace["line"] = {"dash": ",".join(f"{length}px" for length in dash.split())}
    if marker := MARKERS[look.marker]:
        trace |= {"mode": "lines+markers", "marker": {"symbol": marker, "size": 7, "maxdisplayed": MAX_MARKERS}}


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
