"""The figures of a run: what is drawn is what was said and what is planned."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from app.charts import run_charts
from app.metrics.epochs import EpochResponse
from trainer.recipe import Recipe, learning_rates


def epoch(number: int) -> EpochResponse:
    return EpochResponse(
        epoch=number,
        train_loss=1 / number,
        train_accuracy=None,
        val_loss=2 / number,
        val_accuracy=0.5,
        tta_accuracy=0.6,
        learning_rate=0.1,
        seconds=2.0,
        elapsed_seconds=2.0 * number,
        attempt=1,
        penalty=None,
        input_seconds=0.0,
        val_seconds=0.0,
        tta_seconds=0.0,
        compile_seconds=0.0,
        energy_wh=None,
    )


def planned(recipe: Recipe, train_images: int) -> dict:
    figures = {figure["name"]: figure for figure in run_charts.run_figures([], recipe, train_images)}
    return next(trace for trace in figures["learning_rate"]["traces"] if trace["name"] == "Planned")


def test_every_trace_that_grows_names_its_column_and_shows_it():
    rows = [epoch(1), epoch(2), epoch(3)]

    figures = run_charts.run_figures(rows, Recipe(), 1000)

    names = [figure["name"] for figure in figures]
    assert names == ["accuracy", "loss", "learning_rate", "seconds", "images_per_second"]
    growing = [trace for figure in figures[:4] for trace in figure["traces"] if "field" in trace["meta"]]
    assert len(growing) == 6
    for trace in growing:
        assert trace["x"] == [1, 2, 3]
        assert trace["y"] == [getattr(row, trace["meta"]["field"]) for row in rows]


def test_speed_load_memory_and_power_are_drawn_where_they_were_measured():
    rows = [
        epoch(1).model_copy(update={"busy": 0.5, "memory_bytes": 2**31, "energy_wh": 0.1}),
        epoch(2).model_copy(update={"memory_bytes": 2**30}),
    ]
    drawn = {figure["name"]: figure["traces"][0]["y"] for figure in run_charts.run_figures(rows, Recipe(), 1000)[4:]}
    assert drawn == {
        "images_per_second": [500.0, 500.0],
        "busy": [0.5, None],
        "memory_gib": [2.0, 1.0],
        "watts": [180.0, None],
    }
    before = [figure["name"] for figure in run_charts.run_figures([], Recipe(), None)[4:]]
    assert before == list(drawn), "what an epoch may bring has its place from the beginning"


def test_the_speed_counts_only_images_that_were_trained_on():
    def speed(**settings: Any) -> Any:
        recipe = Recipe.model_validate({"batch_size": 300, **settings})
        figures = {figure["name"]: figure for figure in run_charts.run_figures([epoch(1)], recipe, 1000)}
        return figures["images_per_second"]["traces"][0]["y"]

    assert speed() == [500.0]
    assert speed(last_batch="drop") == [450.0]
    assert speed(mixup={"pairing": "permute"}) == [500.0]
    assert speed(mixup={"pairing": "disjoint"}) == [150.0], "two batches of images make one"


def test_the_plan_of_a_short_run_is_every_step_of_it():
    recipe = Recipe.model_validate(
        {"epochs": 3, "batch_size": 50, "schedule": {"kind": "triangular", "step_epochs": 1.5}}
    )

    trace = planned(recipe, 1000)

    assert trace["y"] == [float(rate) for rate in learning_rates.learning_rates(recipe, 1000)]
    assert trace["x"] == [(step + 1) / 20 for step in range(60)]


def test_the_plan_of_a_long_run_keeps_its_peaks_and_feet():
    recipe = Recipe.model_validate({"epochs": 24, "batch_size": 64})

    trace = planned(recipe, 50_000)

    rates = learning_rates.learning_rates(recipe, 50_000)
    assert len(trace["y"]) < len(rates) / 10
    assert max(trace["y"]) == rates.max() and np.isclose(min(trace["y"]), rates.min(), rtol=0.05)


def test_no_recipe_is_too_long_to_be_drawn():
    recipe = Recipe.model_validate({"epochs": 10_000, "batch_size": 1})

    tracemalloc.start()
    trace = planned(recipe, 50_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(trace["x"]) <= 2 * run_charts.PLANNED_POINTS
    assert peak < 32 * 2**20


def test_nothing_is_planned_where_the_pictures_are_not_counted_or_give_no_step():
    assert len(run_charts.run_figures([], Recipe(), None)[2]["traces"]) == 1
    assert len(run_charts.run_figures([], Recipe(last_batch="drop", batch_size=512), 100)[2]["traces"]) == 1
