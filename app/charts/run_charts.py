"""Plotly figures of a run and of a schedule.

A trace's `meta.field` names the epoch's column that it shows, so that the browser can extend it as epochs arrive;
`meta.role` names its colour, a token of the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.metrics.epochs import EpochResponse
from app.metrics.images_trained import images_per_epoch_of
from trainer.recipe import Recipe, learning_rates

PLANNED_POINTS = 600  # of the planned learning rate: as many as a chart has pixels
SAMPLED_STEPS = 20_000  # searched for corners between them: a run may have hundreds of millions of steps

NO_DATA_YET = "The first point appears when epoch 1 ends"

Figure = dict[str, Any]
Floats = NDArray[np.float64]


def run_figures(epochs: Sequence[EpochResponse], recipe: Recipe, train_images: int | None) -> list[Figure]:
    """The charts of a run's page; none for what was not measured in any epoch. `train_images` None: the planned
    learning rate and the speed are not known yet.
    """
    return [
        _figure(
            "accuracy",
            "Accuracy",
            [
                _trace(epochs, "train_accuracy", "Training", "train"),
                *_validation(epochs, recipe),
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
        *_of_device(epochs, images_per_epoch_of(recipe, train_images) if train_images else None),
    ]


def schedule_figure(recipe: Recipe, train_images: int) -> Figure:
    """The learning rate over the whole run and, on an axis of its own, how much it changes per epoch."""
    epochs, rates = planned_rates(recipe, train_images)
    change = np.diff(rates) / np.diff(epochs) if len(rates) > 1 else np.zeros(0)
    middle = (epochs[1:] + epochs[:-1]) / 2
    peak = int(np.argmax(rates)) if len(rates) else 0
    figure = _figure(
        "schedule",
        "Learning rate",
        [
            _line(epochs, rates, "Learning rate", "rate"),
            _line(middle, change, "Change per epoch", "planned") | {"yaxis": "y2"},
        ],
    )
    marks = [(peak, "peak"), (len(rates) - 1, "end")] if len(rates) else []
    figure["marks"] = [
        {"x": float(epochs[at]), "y": float(rates[at]), "text": f"{name} {rates[at]:.4g}"} for at, name in marks
    ]
    figure["epochs"] = recipe.epochs
    return figure


def planned_rates(recipe: Recipe, train_images: int) -> tuple[Floats, Floats]:
    """(epochs, rates) of the whole run's schedule, thinned to what is visible but with its corners.

    A step is placed at the share of epochs completed when it ends. Both are empty if there are no steps.
    """
    run = learning_rates.calendar(recipe, train_images)
    if not run.total:
        return np.zeros(0), np.zeros(0)
    steps = np.unique(np.linspace(0, run.total - 1, min(run.total, SAMPLED_STEPS)).round())
    rates = learning_rates.rates_at(recipe, train_images, steps).astype(float)
    even = np.linspace(0, len(rates) - 1, min(len(rates), PLANNED_POINTS)).round().astype(int)
    corners = np.flatnonzero(np.diff(np.sign(np.diff(rates)))) + 1
    at = np.union1d(even, corners[:PLANNED_POINTS])
    return ((steps[at] + 1) / run.per_epoch).round(5), rates[at]


def _of_device(epochs: Sequence[EpochResponse], per_epoch: int | None) -> list[Figure]:
    """Speed, load, memory and power. `per_epoch`: images trained on. `run_chart_layout.js` computes the same as epochs
    arrive.
    """
    images = [None if not per_epoch or not row.seconds else per_epoch / row.seconds for row in epochs]
    memory = [None if row.memory_bytes is None else row.memory_bytes / 2**30 for row in epochs]
    watts = [None if row.energy_wh is None or not row.seconds else row.energy_wh * 3600 / row.seconds for row in epochs]
    charts = [
        ("images_per_second", "Training images per second", images, False),
        ("busy", "Device load", [row.busy for row in epochs], True),
        ("memory_gib", "Device memory in use (GiB)", memory, False),
        ("watts", "Device power (W)", watts, False),
    ]
    figures = [
        _figure(field, title, [_trace(epochs, field, "Training", "time", values=values)], percent=percent)
        for field, title, values, percent in charts
        if not epochs or any(value is not None for value in values)
    ]
    for figure in figures:
        figure["layout"]["yaxis"]["rangemode"] = "tozero"  # so that a load from 97 to 99 % looks flat
    return figures


def _validation(epochs: Sequence[EpochResponse], recipe: Recipe) -> list[Figure]:
    if recipe.tta == "none":
        return [_trace(epochs, "val_accuracy", "Validation", "validation")]
    with_tta = _trace(epochs, "tta_accuracy", "Validation, TTA", "validation")
    return [with_tta, _trace(epochs, "val_accuracy", "Without TTA", "without-tta")]


def _planned(recipe: Recipe, train_images: int | None) -> list[Figure]:
    """The schedule of the whole run; shown by epoch only."""
    if train_images is None:
        return []
    epochs, rates = planned_rates(recipe, train_images)
    if not len(epochs):
        return []
    line = _line(epochs, rates, "Planned", "planned")
    return [line | {"meta": {"role": "planned", "by": "epoch"}}]


def _line(x: Floats, y: Floats, name: str, role: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x.tolist(),
        "y": y.tolist(),
        "meta": {"role": role},
    }


def _trace(
    epochs: Sequence[EpochResponse],
    field: str,
    name: str,
    role: str,
    *,
    kind: str = "scatter",
    values: list[float | None] | None = None,
) -> Figure:
    """`values`: for a field that is computed from others."""
    trace: Figure = {
        "type": kind,
        "name": name,
        "x": [row.epoch for row in epochs],
        "y": [getattr(row, field) for row in epochs] if values is None else values,
        "meta": {"role": role, "field": field},
    }
    return trace | ({"mode": "lines+markers"} if kind == "scatter" else {})


def _figure(
    name: str, title: str, traces: list[Figure], *, percent: bool = False, target: float | None = None
) -> Figure:
    axis: Figure = {"tickformat": ".0%", "hoverformat": ".2%"} if percent else {"rangemode": "tozero"}
    head = {"name": name, "title": title, "empty": NO_DATA_YET}
    return head | {"traces": traces, "layout": {"yaxis": axis}, "target": target}
