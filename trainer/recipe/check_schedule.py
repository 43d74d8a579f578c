"""Warnings about the learning rate and the steps of a run. Part of the recipe check (check.py)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.recipe.learning_rates import Calendar, calendar, find_period, rates_at
from trainer.recipe.recipe import Recipe
from trainer.recipe.schedule import (
    CosineRestarts,
    ExpRange,
    OneCycle,
    Piecewise,
    Sine,
    Slopes,
    Triangular,
    Triangular2,
)
from trainer.recipe.warning import RecipeWarning

MAX_SAMPLES = 20_000  # steps examined: a run may have hundreds of millions
CYCLICAL = (Triangular, Triangular2, ExpRange, Sine)
HIGH_FINAL_RATE = 1 / 3  # of the peak
NO_RATE = 1e-3  # of the peak: weights hardly move
MOST = 0.5  # of the steps
LONG_WARM_UP = 0.55  # of the steps; a single triangle rises for half of them


def warnings(recipe: Recipe, train_images: int) -> list[RecipeWarning]:
    """Warnings for a run on this many training images. None if they are too few for a single step."""
    run = calendar(recipe, train_images)
    if not run.total:
        return []
    return [
        *_check_rates(recipe, run, train_images),
        *_check_mixup_steps(recipe, run, train_images),
        *_check_last_batch(recipe, train_images),
    ]


def _check_rates(recipe: Recipe, run: Calendar, train_images: int) -> Iterator[RecipeWarning]:
    steps = np.unique(np.linspace(0, run.total - 1, min(run.total, MAX_SAMPLES)).round())
    rates = rates_at(recipe, train_images, steps).astype(float)
    peak, last = float(rates.max()), float(rates[-1])
    if not peak:
        yield RecipeWarning("no_rate", "schedule", "The learning rate is 0 at every step: the model will not train.")
        return
    if recipe.loss.reduction == "sum" and peak * recipe.batch_size > 5:
        yield RecipeWarning(
            "summed_rate",
            "loss.reduction",
            f"The loss is summed over the batch, so a learning rate of {peak:g} is equivalent to "
            f"{peak * recipe.batch_size:g} with a mean loss. The run will probably diverge.",
            "Use the mean",
            {"loss": {"reduction": "mean"}},
        )
    top = int(np.argmax(rates >= 0.99 * peak))
    if last >= HIGH_FINAL_RATE * peak:
        is_flat = bool((rates > 0.9 * peak).all())
        finding = (
            f"The learning rate stays at {peak:g} until the end."
            if is_flat
            else f"Training ends at a learning rate of {last:.3g}, {last / peak:.0%} of its peak of {peak:.3g}."
        )
        yield RecipeWarning(
            "ends_at_peak",
            "schedule",
            f"{finding} Validation accuracy is lowest while the learning rate is high: reduce it before the run ends.",
            *_propose_low_end(recipe, run, peak),
        )
    if (wasted := float((rates < NO_RATE * peak).mean())) > MOST:
        yield RecipeWarning(
            "rate_vanishes",
            "schedule",
            f"The learning rate is below a thousandth of its peak for {wasted:.0%} of the run: the model hardly learns "
            "in that time.",
            *_propose_higher_peaks(recipe, peak),
        )
    if steps[top] > LONG_WARM_UP * run.total and peak > rates[0]:
        yield RecipeWarning(
            "long_warm_up",
            "schedule",
            f"The learning rate rises for {steps[top] / run.per_epoch:.3g} of {recipe.epochs} epochs: the warm-up "
            "takes most of the run.",
            *_propose_earlier_peak(recipe, run, peak),
        )


def _check_mixup_steps(recipe: Recipe, run: Calendar, train_images: int) -> Iterator[RecipeWarning]:
    if not recipe.mixup or recipe.mixup.pairing != "disjoint":
        return
    usual = calendar(recipe.model_copy(update={"mixup": None}), train_images).per_epoch
    text = f"Mixup of disjoint pairs blends two images into one: an epoch has {run.per_epoch} steps, not {usual}."
    if isinstance(recipe.schedule, CYCLICAL):
        passes = recipe.schedule.step_epochs * run.epoch_steps / run.per_epoch
        text += f" A half cycle of {recipe.schedule.step_epochs:g} epochs then takes {passes:.3g} epochs."
    fix = {"mixup": {"pairing": "permute"}}
    yield RecipeWarning("mixup_halves_steps", "mixup.pairing", text, "Mix within the batch", fix)


def _check_last_batch(recipe: Recipe, train_images: int) -> Iterator[RecipeWarning]:
    rest = train_images % recipe.batch_size
    is_kept = recipe.last_batch == "keep" and not (recipe.mixup and recipe.mixup.pairing == "disjoint")
    if not is_kept or not rest or train_images < recipe.batch_size:
        return
    fix = ("Drop it", {"last_batch": "drop"})
    if rest < recipe.batch_size / 4:
        text = (
            f"The last batch of each epoch has {rest} images, not {recipe.batch_size}: a noisy step at the full "
            "learning rate, and the last update of the batch-norm statistics."
        )
        yield RecipeWarning("tiny_last_batch", "last_batch", text, *fix)
    elif recipe.model.bn_momentum <= 0.3:
        text = (
            f"With a batch-norm momentum of {recipe.model.bn_momentum:g}, validation uses statistics of little "
            f"more than the last batch, which has {rest} images, not {recipe.batch_size}."
        )
        yield RecipeWarning("last_batch_statistics", "model.bn_momentum", text, *fix)


def _propose_low_end(recipe: Recipe, run: Calendar, peak: float) -> tuple[str, dict[str, Any]]:
    """(label, fix) of a schedule that ends at a low learning rate."""
    schedule = recipe.schedule
    match schedule:
        case Triangular() | Triangular2() | ExpRange() | Sine():
            length = run.total / run.epoch_steps if recipe.mixup else float(recipe.epochs)
            halves = max(2 * int(length / schedule.step_epochs / 2), 2)
            whole = round(length / halves, 4)
            return f"Half cycles of {whole:g} epochs: ends at the base rate", {"schedule": {"step_epochs": whole}}
        case CosineRestarts():
            return _propose_whole_periods(schedule, recipe.epochs)
        case Slopes() if recipe.epochs > schedule.rise_epochs:
            top = schedule.start_lr + schedule.rise * schedule.rise_epochs
            fall = round(top / (recipe.epochs - schedule.rise_epochs), 5)
            return f"Fall by {fall:g} per epoch: ends near 0", {"schedule": {"fall": fall}}
        case Piecewise() if len(knots := [knot for knot in schedule.knots if knot[0] < recipe.epochs]) > 1:
            ended = [*knots, [float(recipe.epochs), 0.0]]
            return f"End at 0 in epoch {recipe.epochs}", {"schedule": {"knots": ended}}
    return _one_cycle(peak)


def _propose_whole_periods(schedule: CosineRestarts, epochs: int) -> tuple[str, dict[str, Any]]:
    """As many periods as fit now, at least one, stretched to the run's length; each falls to the minimum."""
    growth = schedule.period_factor
    number, _ = find_period(np.array([float(epochs)]), schedule.period_epochs, growth)
    periods = max(float(number[0]), 1.0)
    length = periods if growth == 1 else (growth**periods - 1) / (growth - 1)  # in first periods
    period = math.ceil(epochs / length * 1e4) / 1e4  # rounded up: the last step must not be a restart
    label = f"First period of {period:g} epochs: ends at the minimum"
    return label, {"schedule": {"period_epochs": period, "fraction": 1.0}}


def _propose_higher_peaks(recipe: Recipe, peak: float) -> tuple[str, dict[str, Any]]:
    """(label, fix) of a schedule that goes on training."""
    if isinstance(recipe.schedule, CosineRestarts) and recipe.schedule.peak_factor < 1:
        return "Restart at the full peak", {"schedule": {"peak_factor": 1.0}}
    return _one_cycle(peak)


def _propose_earlier_peak(recipe: Recipe, run: Calendar, peak: float) -> tuple[str, dict[str, Any]]:
    """(label, fix) of a schedule with a shorter rise."""
    schedule = recipe.schedule
    if isinstance(schedule, CYCLICAL):
        half = round((run.total / run.epoch_steps if recipe.mixup else recipe.epochs) / 2, 4)
        return f"Half cycles of {half:g} epochs: a single cycle", {"schedule": {"step_epochs": half}}
    if isinstance(schedule, OneCycle):
        return "Peak after a quarter of the run", {"schedule": {"peak": 0.25}}
    return _one_cycle(peak)


def _one_cycle(peak: float) -> tuple[str, dict[str, Any]]:
    peak = float(f"{peak:.6g}")
    knobs = {"kind": "one_cycle", "start_lr": peak / 25, "max_lr": peak, "final_lr": 0.0, "peak": 0.25}
    return f"One cycle up to {peak:g} and down to 0", {"schedule": knobs}
