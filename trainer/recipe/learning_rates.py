"""Learning rates as pure functions of the step, in float64. The form's chart and the training step share this code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.recipe.recipe import Recipe
from trainer.recipe.schedule import (
    Constant,
    CosineRestarts,
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

TINY = 1e-9  # of a period: rounding must not delay a restart by a step


@dataclass(frozen=True)
class Calendar:
    """The steps of a run, and the length of an epoch for a schedule."""

    epoch_steps: float  # images / batch size, not rounded: for half cycles (bckenstler's step_size)
    per_epoch: int  # actual steps: for schedules in whole epochs (DavidNet's knots)
    total: int  # steps of the whole run


def calendar(recipe: Recipe, train_images: int) -> Calendar:
    per_epoch = steps_per_epoch(recipe, train_images)
    return Calendar(train_images / recipe.batch_size, per_epoch, recipe.epochs * per_epoch)


def steps_per_epoch(recipe: Recipe, train_images: int) -> int:
    """Optimiser steps per epoch, including the incomplete last batch if `last_batch` is "keep".

    Disjoint mixup blends two batches into one and always drops the remainder, as yu4u's generator does.
    0 if there are too few images for a batch: such a recipe cannot run.
    """
    if recipe.mixup is not None and recipe.mixup.pairing == "disjoint":
        return train_images // (2 * recipe.batch_size)
    if recipe.last_batch == "drop":
        return train_images // recipe.batch_size
    return math.ceil(train_images / recipe.batch_size)


def learning_rates(recipe: Recipe, train_images: int) -> NDArray[np.float32]:
    """The learning rate of every step of the run, float32 (epochs · steps_per_epoch,).

    Schedule and time decay are evaluated in float64 and rounded once at the end.
    """
    total = calendar(recipe, train_images).total
    return rates_at(recipe, train_images, np.arange(total, dtype=np.float64))


def rates_at(recipe: Recipe, train_images: int, step: Float64) -> NDArray[np.float32]:
    """The learning rates of the given steps only, for charts."""
    rates = schedule_rates(recipe.schedule, step, calendar(recipe, train_images))
    return (rates * time_decay(step, recipe.optimizer.decay)).astype(np.float32)


def schedule_rates(schedule: Schedule, step: Float64, run: Calendar) -> Float64:
    """The schedule at each `step` (from 0), without time decay. Never below 0."""
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
        case CosineRestarts():
            return cosine_restarts(step / max(run.per_epoch, 1), schedule)
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
            scale = sine(step if schedule.scale_mode == "iterations" else cycle_number(step, step_size))
    return schedule.base_lr + (schedule.max_lr - schedule.base_lr) * height * scale


def constant(step: Float64, lr: float) -> Float64:
    return np.full(step.shape, lr, dtype=np.float64)


def cycle_number(step: Float64, step_size: float) -> Float64:
    """The cycle of each step, from 1: floor(1 + step / (2 · step_size)), as in bckenstler's CLR."""
    return np.floor(1 + step / (2 * step_size))


def triangle(step: Float64, step_size: float) -> Float64:
    """Height of a triangle wave, 0..1: 0 at step 0, 1 at `step_size`, 0 at twice that, and so on.

    Leslie Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186), in the form of
    Brad Kenstler's CLR callback (github.com/bckenstler/CLR), whose first batch gets the base rate.
    `step_size` (steps per half cycle) may be fractional.
    """
    distance = np.abs(step / step_size - 2 * cycle_number(step, step_size) + 1)
    height: Float64 = np.maximum(0.0, 1 - distance)
    return height


def halved(cycle: Float64) -> Float64:
    """CLR's "triangular2": each cycle is half as high as the one before, 1 / 2^(cycle - 1)."""
    return 2.0 ** (1 - cycle)  # cannot overflow


def sine(x: Float64) -> Float64:
    """The original experiment's `clr_fn`, 0.5·(1 + sin(x·π/2.5)).

    CLR evaluates it with the cycle number (`scale_mode` "cycle") or with the step ("iterations"). From x = 1: 0.976,
    0.794, 0.206, 0.024, 0.5, repeating.
    """
    return 0.5 * (1 + np.sin(x * np.pi / 2.5))


def piecewise(epoch: Float64, knots: Sequence[Sequence[float]]) -> Float64:
    """Linear interpolation between (epoch, rate) knots, constant before the first and after the last.

    DavidNet's PiecewiseLinear (github.com/davidcpage/cifar10-fast, utils.py), which is `numpy.interp`. As there,
    epochs are counted in actual steps.
    """
    epochs, rates = zip(*knots, strict=True)
    lines: Float64 = np.interp(epoch, epochs, rates)
    return lines


def slopes(epoch: Float64, start_lr: float, rise: float, rise_epochs: float, fall: float) -> Float64:
    """start_lr + rise·epoch until `rise_epochs`, then decreasing by `fall` per epoch, never below 0.

    The original experiment's two lines, +0.1068 and -0.01059 per epoch.
    """
    top = start_lr + rise * np.minimum(epoch, rise_epochs)
    rates: Float64 = np.maximum(top - fall * np.maximum(epoch - rise_epochs, 0.0), 0.0)
    return rates


def step_decay(epoch: Float64, lr: float, factor: float, every_epochs: float) -> Float64:
    """lr · factor^floor(epoch / every_epochs), like the step schedules of Keras and PyTorch."""
    return lr * factor ** np.floor(epoch / every_epochs)


def one_cycle(step: Float64, total: int, knobs: OneCycle) -> Float64:
    """Rises from `start_lr` to `max_lr` over the fraction `peak` of the steps, then falls to `final_lr`.

    Leslie Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820), in the form
    of PyTorch's OneCycleLR in two phases: the peak is at step peak·total - 1, the end at step total - 1.
    """
    top, end = max(knobs.peak * total - 1, 0.0), float(total - 1)
    up = step / top if top else np.ones_like(step)
    down = (step - top) / (end - top) if end > top else np.ones_like(step)
    rising = _interpolate(knobs.start_lr, knobs.max_lr, np.clip(up, 0, 1), knobs.shape)
    falling = _interpolate(knobs.max_lr, knobs.final_lr, np.clip(down, 0, 1), knobs.shape)
    return np.where(step <= top, rising, falling)


def cosine_restarts(epoch: Float64, knobs: CosineRestarts) -> Float64:
    """min_lr + (max_lr - min_lr) · peak_factor^i · (1 + cos(π · fraction · t)) / 2 in period i (from 0), t from 0 to 1.

    SGDR (Loshchilov and Hutter, arXiv 1608.03983, equation 5) with the falling peaks of Keras' CosineDecayRestarts:
    its `first_decay_steps` is `period_epochs` in steps, `t_mul` is `period_factor`, `m_mul` is `peak_factor`, and
    `alpha` is min_lr / max_lr. Neither has `fraction`. Epochs are counted in actual steps.
    """
    number, share = find_period(epoch, knobs.period_epochs, knobs.period_factor)
    fall = (1 + np.cos(np.pi * knobs.fraction * share)) / 2
    return knobs.min_lr + (knobs.max_lr - knobs.min_lr) * knobs.peak_factor**number * fall


def find_period(epoch: Float64, first: float, growth: float) -> tuple[Float64, Float64]:
    """(number of the period from 0, share of it that has passed, 0..1) at each epoch.

    `first`: length of the first period in epochs; each period is `growth` times as long as the one before.
    """
    passed = epoch / first  # in first periods
    if growth == 1:
        number = np.floor(passed + TINY)
        share = passed - number
    else:  # period i starts after 1 + growth + ... + growth^(i-1)
        logarithm = np.log1p(growth - 1)
        number = np.floor(np.log1p(passed * (growth - 1)) / logarithm + TINY)
        share = (passed - np.expm1(number * logarithm) / (growth - 1)) / growth**number
    return number, np.clip(share, 0.0, 1.0)


def time_decay(step: Float64, decay: float) -> Float64:
    """The factor 1 / (1 + decay · step) of the `decay` argument of Keras 1 and 2 optimisers."""
    return 1.0 / (1.0 + decay * step)


def _interpolate(start: float, end: float, share: Float64, shape: str) -> Float64:
    if shape == "cosine":
        return end + (start - end) / 2.0 * (np.cos(np.pi * share) + 1)
    return start + (end - start) * share
