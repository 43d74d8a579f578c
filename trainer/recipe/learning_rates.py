"""Learning rates as pure functions of the step: NumPy, float64, no state.

The same table is drawn in the form, compiled into the training step and checked by the tests.
Must not know any ML framework.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.recipe.recipe import Recipe
from trainer.recipe.schedule import (
    Constant,
    ExpRange,
    OneCycle,
    Piecewise,
    Schedule,
    Sine,
    Slopes,
    StepDecay,
    Triangular,
    Triangular2,
)

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Calendar:
    """How many steps a run has, and what a schedule means by an epoch."""

    epoch_steps: float  # pictures over batch size, not rounded: for half cycles (bckenstler's step_size)
    per_epoch: int  # steps that an epoch really has: for what is counted in whole epochs (DavidNet's knots)
    total: int  # steps of the whole run


def calendar(recipe: Recipe, train_images: int) -> Calendar:
    per_epoch = steps_per_epoch(recipe, train_images)
    return Calendar(train_images / recipe.batch_size, per_epoch, recipe.epochs * per_epoch)


def steps_per_epoch(recipe: Recipe, train_images: int) -> int:
    """Optimiser steps in one pass; `last_batch` "keep" counts the smaller last one, "drop" leaves it out.

    Disjoint mixup makes one batch of two and always leaves the rest out, as yu4u's generator does.
    0 when nothing is left, which no run can be made of.
    """
    if recipe.mixup is not None and recipe.mixup.pairing == "disjoint":
        return train_images // (2 * recipe.batch_size)
    if recipe.last_batch == "drop":
        return train_images // recipe.batch_size
    return math.ceil(train_images / recipe.batch_size)


def learning_rates(recipe: Recipe, train_images: int) -> NDArray[np.float32]:
    """The rate of every step of the whole run, float32 (epochs · steps_per_epoch,).

    Schedule and time decay are evaluated in float64 and rounded once, here.
    """
    total = calendar(recipe, train_images).total
    return rates_at(recipe, train_images, np.arange(total, dtype=np.float64))


def rates_at(recipe: Recipe, train_images: int, step: Float64) -> NDArray[np.float32]:
    """The same at the given steps only, for who draws a curve and does not need every step of it."""
    rates = scheduled(recipe.schedule, step, calendar(recipe, train_images))
    return (rates * time_decay(step, recipe.optimizer.decay)).astype(np.float32)


def scheduled(schedule: Schedule, step: Float64, run: Calendar) -> Float64:
    """The schedule alone at each `step` (from 0), before the time decay. Rates are never below 0."""
    match schedule:
        case Constant():
            return constant(step, schedule.lr)
        case Piecewise():
            return piecewise(step / max(run.per_epoch, 1), schedule.knots)
        case Slopes():
            epoch = step / max(run.per_epoch, 1)
            return slopes(epoch, schedule.start_lr, schedule.rise, schedule.rise_epochs, schedule.fall)
        case StepDecay():
            return step_decay(step / max(run.per_epoch, 1), schedule.lr, schedule.factor, schedule.every_epochs)
        case OneCycle():
            return one_cycle(step, run.total, schedule)
    step_size = schedule.step_epochs * run.epoch_steps
    height = triangle(step, step_size)
    match schedule:
        case Triangular():
            scale: Float64 | float = 1.0
        case Triangular2():
            scale = halved(cycle_number(step, step_size))
        case ExpRange():
            scale = schedule.gamma**step
        case Sine():
            scale = sine(cycle_number(step, step_size))
    return schedule.base_lr + (schedule.max_lr - schedule.base_lr) * height * scale


def constant(step: Float64, lr: float) -> Float64:
    """`lr` at every step."""
    return np.full(step.shape, lr, dtype=np.float64)


def cycle_number(step: Float64, step_size: float) -> Float64:
    """Which cycle a step is in, from 1: floor(1 + step / (2 · step_size)), as bckenstler's CLR counts."""
    return np.floor(1 + step / (2 * step_size))


def triangle(step: Float64, step_size: float) -> Float64:
    """The height of the triangle, 0..1: 0 at step 0, 1 at `step_size`, 0 at twice that, and so on.

    Leslie Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186), in the form of
    Brad Kenstler's CLR callback (github.com/bckenstler/CLR), whose first batch gets the base rate.
    `step_size` (steps per half cycle) need not be whole.
    """
    distance = np.abs(step / step_size - 2 * cycle_number(step, step_size) + 1)
    height: Float64 = np.maximum(0.0, 1 - distance)
    return height


def halved(cycle: Float64) -> Float64:
    """CLR's "triangular2": each cycle half as high, 1 / 2^(cycle - 1)."""
    return 2.0 ** (1 - cycle)  # never overflows, however many cycles


def sine(cycle: Float64) -> Float64:
    """The original experiment's `clr_fn`, 0.5·(1 + sin(x·π/2.5)), which CLR evaluates on the cycle's number.

    From cycle 1 on: 0.976, 0.794, 0.206, 0.024, 0.5, and again.
    """
    return 0.5 * (1 + np.sin(cycle * np.pi / 2.5))


def piecewise(epoch: Float64, knots: Sequence[Sequence[float]]) -> Float64:
    """Straight lines through (epoch, rate) knots; before the first and after the last knot their rates hold.

    DavidNet's PiecewiseLinear (github.com/davidcpage/cifar10-fast, utils.py), which is `numpy.interp`. An
    epoch is as many steps as it really has, as there.
    """
    epochs, rates = zip(*knots, strict=True)
    lines: Float64 = np.interp(epoch, epochs, rates)
    return lines


def slopes(epoch: Float64, start_lr: float, rise: float, rise_epochs: float, fall: float) -> Float64:
    """start_lr + rise·epoch until `rise_epochs`, then down by `fall` per epoch, never below 0.

    The original experiment's two lines, +0.1068 and -0.01059 per epoch.
    """
    top = start_lr + rise * np.minimum(epoch, rise_epochs)
    rates: Float64 = np.maximum(top - fall * np.maximum(epoch - rise_epochs, 0.0), 0.0)
    return rates


def step_decay(epoch: Float64, lr: float, factor: float, every_epochs: float) -> Float64:
    """lr · factor^floor(epoch / every_epochs), as Keras' and PyTorch's step schedules."""
    return lr * factor ** np.floor(epoch / every_epochs)


def one_cycle(step: Float64, total: int, knobs: OneCycle) -> Float64:
    """Up from `start_lr` to `max_lr` within the share `peak` of the steps, then down to `final_lr` at the last.

    Leslie Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820), in the form
    of PyTorch's OneCycleLR in two phases: the peak is at step peak·total - 1, the end at step total - 1.
    """
    top, end = max(knobs.peak * total - 1, 0.0), float(total - 1)
    up = step / top if top else np.ones_like(step)
    down = (step - top) / (end - top) if end > top else np.ones_like(step)
    rising = _between(knobs.start_lr, knobs.max_lr, np.clip(up, 0, 1), knobs.shape)
    falling = _between(knobs.max_lr, knobs.final_lr, np.clip(down, 0, 1), knobs.shape)
    return np.where(step <= top, rising, falling)


def time_decay(step: Float64, decay: float) -> Float64:
    """The factor 1 / (1 + decay · step), as the `decay` argument of Keras 1 and 2 optimisers had it."""
    return 1.0 / (1.0 + decay * step)


def _between(start: float, end: float, share: Float64, shape: str) -> Float64:
    if shape == "cosine":
        return end + (start - end) / 2.0 * (np.cos(np.pi * share) + 1)
    return start + (end - start) * share
