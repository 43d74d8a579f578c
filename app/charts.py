"""Plotly figures of one run as plain dicts: pure functions of rows. Colours come from the page's own tokens.

A trace's `meta.field` names the column of an epoch that it shows, so that the browser can extend it as epochs
arrive; `meta.role` names its colour. Must not know the database or the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.schemas import EpochShown
from trainer import schedules
from trainer.recipe import Recipe

PLANNED_POINTS = 600  # of the planned learning rate: as many as a chart has pixels
LOOKED_AT_STEPS = 20_000  # for corners between them: a run may have hundreds of millions of steps

Figure = dict[str, Any]


def of_run(epochs: Sequence[EpochShown], recipe: Recipe, train_images: int | None) -> list[Figure]:
    """The four charts of a run's page. `train_images` None: the planned learning rate is not known yet."""
    return [
        _figure(
            "accuracy",
            "Accuracy",
            [
                _trace(epochs, "train_accuracy", "Training", "train"),
                _trace(epochs, "val_accuracy", "Validation", "validation"),
            ],
            percent=True,
            target=recipe.target_accuracy,
        ),
        _figure(
            "loss",
            "Loss",
            [
                _trace(epochs, "train_loss", "Training", "train"),
                _trace(epochs, "val_loss", "Validation", "validation"),
            ],
        ),
        _figure(
            "learning_rate",
            "Learning rate",
            [*_planned(recipe, train_images), _trace(epochs, "learning_rate", "At the epoch's end", "rate")],
        ),
        _figure("seconds", "Seconds per epoch", [_trace(epochs, "seconds", "Training", "time", kind="bar")]),
    ]


def _planned(recipe: Recipe, train_images: int | None) -> list[Figure]:
    """The schedule of the whole run, thinned to what can be seen but keeping its corners; by epoch only."""
    if train_images is None:
        return []
    per_epoch = schedules.steps_per_epoch(train_images, recipe.batch_size, recipe.last_batch)
    last = recipe.epochs * per_epoch - 1
    if last < 0:
        return []
    looked_at = np.unique(np.linspace(0, last, min(last + 1, LOOKED_AT_STEPS)).round())
    rates = schedules.rates_at(recipe, train_images, looked_at)
    even = np.linspace(0, len(rates) - 1, min(len(rates), PLANNED_POINTS)).round().astype(int)
    corners = np.flatnonzero(np.diff(np.sign(np.diff(rates.astype(float))))) + 1
    shown = np.union1d(even, corners[:PLANNED_POINTS])
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Planned",
            "x": ((looked_at[shown] + 1) / per_epoch).round(5).tolist(),
            "y": [float(rate) for rate in rates[shown]],
            "meta": {"role": "planned", "by": "epoch"},
        }
    ]


def _trace(epochs: Sequence[EpochShown], field: str, name: str, role: str, *, kind: str = "scatter") -> Figure:
    trace: Figure = {
        "type": kind,
        "name": name,
        "x": [row.epoch for row in epochs],
        "y": [getattr(row, field) for row in epochs],
        "meta": {"role": role, "field": field},
    }
    return trace | ({"mode": "lines+markers"} if kind == "scatter" else {})


def _figure(
    name: str, title: str, traces: list[Figure], *, percent: bool = False, target: float | None = None
) -> Figure:
    axis: Figure = {"tickformat": ".0%", "hoverformat": ".2%"} if percent else {"rangemode": "tozero"}
    return {"name": name, "title": title, "traces": traces, "layout": {"yaxis": axis}, "target": target}
