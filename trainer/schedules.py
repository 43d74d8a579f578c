"""Learning rates as pure functions of the step: NumPy, float64, no state.

The same table is drawn in the form, compiled into the training step and checked by the tests.
Must not know any ML framework.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trainer.recipe import Constant, Recipe, Schedule, Triangular

Float64 = NDArray[np.float64]


def steps_per_epoch(train_images: int, batch_size: int, last_batch: str) -> int:
    """Optimiser steps in one pass; `last_batch` "keep" counts the smaller last one, "drop" leaves it out.

    0 when "drop" leaves nothing, which no run can be made of.
    """
    if last_batch == "drop":
        return train_images // batch_size
    return math.ceil(train_images / batch_size)


def learning_rates(recipe: Recipe, train_images: int) -> NDArray[np.float32]:
    """The rate of every step of the whole run, float32 (epochs · steps_per_epoch,).

    Schedule and time decay are evaluated in float64 and rounded once, here.
    """
    steps = recipe.epochs * steps_per_epoch(train_images, recipe.batch_size, recipe.last_batch)
    return rates_at(recipe, train_images, np.arange(steps, dtype=np.float64))


def rates_at(recipe: Recipe, train_images: int, step: Float64) -> NDArray[np.float32]:
    """The same at the given steps only, for who draws a curve and does not need every step of it."""
    rates = scheduled(recipe.schedule, step, epoch_steps=train_images / recipe.batch_size)
    return (rates * time_decay(step, recipe.optimizer.decay)).astype(np.float32)


def scheduled(schedule: Schedule, step: Float64, epoch_steps: float) -> Float64:
    """The schedule alone at each `step` (from 0), before the time decay.

    `epoch_steps` is pictures over batch size, not rounded: what a schedule means by an epoch.
    """
    match schedule:
        case Constant():
            return constant(step, schedule.lr)
        case Triangular():
            step_size = schedule.step_epochs * epoch_steps
            return triangular(step, schedule.base_lr, schedule.max_lr, step_size)


def constant(step: Float64, lr: float) -> Float64:
    """`lr` at every step."""
    return np.full(step.shape, lr, dtype=np.float64)


def triangular(step: Float64, base_lr: float, max_lr: float, step_size: float) -> Float64:
    """Cyclical learning rate, "triangular": `base_lr` at step 0, `max_lr` at `step_size`, back at twice that.

    Leslie Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186), in the form of
    Brad Kenstler's CLR callback, whose first batch gets `base_lr`. `step_size` (steps) need not be whole.
    """
    cycle = np.floor(1 + step / (2 * step_size))
    distance = np.abs(step / step_size - 2 * cycle + 1)
    height: Float64 = np.maximum(0.0, 1 - distance)
    return base_lr + (max_lr - base_lr) * height


def time_decay(step: Float64, decay: float) -> Float64:
    """The factor 1 / (1 + decay · step), as the `decay` argument of Keras 1 and 2 optimisers had it."""
    return 1.0 / (1.0 + decay * step)
