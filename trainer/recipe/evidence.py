"""Sets what a run really did beside what its recipe says, and warns where a knob had no effect.

Reads measurements (witness.py makes them in the child) and the recipe; must not know any ML framework or the app.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.events import Evidence
from trainer.recipe.augmentation import TOPS, Cutout, CutoutSquare
from trainer.recipe.learning_rates import rates_at, steps_per_epoch
from trainer.recipe.recipe import Recipe
from trainer.recipe.warning import RecipeWarning

ENOUGH = 5  # pictures that an operation should have changed, before its changing none means anything


def judge(recipe: Recipe, evidence: Sequence[Evidence], train_images: int, classes: int) -> list[RecipeWarning]:
    """What the measured steps of a run contradict. Empty where nothing was measured, and where all is as it says."""
    if not evidence:
        return []
    return [
        *_batch(evidence),
        *_operations(recipe, evidence),
        *_draws(recipe, evidence),
        *_labels(recipe, evidence, classes),
        *_range(recipe, evidence),
        *_decay(recipe, evidence),
        *_rate(recipe, evidence, train_images),
    ]


def _batch(evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    for one in evidence:
        if not one.is_what_the_step_saw:
            text = f"The batch of the first step of epoch {one.epoch} is not what the operations make of its pictures."
            yield RecipeWarning("another_batch", "augment", text)


def _operations(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    expected: list[tuple[str, int | None, str, float]] = [
        (f"augment.{at}", at, one.op, getattr(one, "p", 1.0)) for at, one in enumerate(recipe.augment)
    ]
    if recipe.mixup:
        expected.append(("mixup", None, "mixup", 1.0))
    for path, position, name, p in expected:
        shares = [
            change.pixels
            for one in evidence
            for change in one.changes
            if change.name == name and change.position == position
        ]
        seen = sum(one.pictures for one in evidence)
        if not any(shares) and p * seen >= ENOUGH:
            text = f"{name} changed no pixel of the {seen} pictures that were looked at: it had no effect."
            yield RecipeWarning("no_effect", path, text)


def _draws(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    is_random = any(change.pixels and change.name not in {"pad", "mixup"} for one in evidence for change in one.changes)
    for one in evidence:
        if one.new_pixels is None:
            continue
        if recipe.augment_when == "each_epoch" and is_random and not one.new_pixels:
            text = f"Epoch {one.epoch} saw the very pictures of epoch 1: the changes were drawn once, not each epoch."
            yield RecipeWarning("drawn_once", "augment_when", text)
        if recipe.augment_when == "once" and one.new_pixels:
            text = f"Epoch {one.epoch} saw other pictures than epoch 1, where they should have been changed once."
            yield RecipeWarning("drawn_again", "augment_when", text)


def _labels(recipe: Recipe, evidence: Sequence[Evidence], classes: int) -> Iterator[RecipeWarning]:
    smoothing, found = recipe.loss.label_smoothing, max(one.label_entropy for one in evidence)
    plain = _entropy(smoothing, classes)
    if recipe.mixup and found <= plain + 1e-4:
        yield RecipeWarning("labels_not_mixed", "mixup", "The labels that the loss saw were those of single pictures.")
    if smoothing and found < plain - 1e-3:
        text = (
            f"The labels that the loss saw were sharper (entropy {found:.3f}) than smoothing makes them ({plain:.3f})."
        )
        yield RecipeWarning("labels_not_smoothed", "loss.label_smoothing", text)
    if not recipe.mixup and found > plain + 1e-3:
        text = (
            f"The labels that the loss saw were softer (entropy {found:.3f}) than the recipe makes them ({plain:.3f})."
        )
        yield RecipeWarning("labels_too_soft", "loss", text)


def _range(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    low, high = min(one.input_low for one in evidence), max(one.input_high for one in evidence)
    top = TOPS.get(recipe.normalize)
    fills = [value for one in recipe.augment if isinstance(one, Cutout) for value in (one.v_l, one.v_h)]
    fills += [one.value for one in recipe.augment if isinstance(one, CutoutSquare)]
    least, most = min([0.0, *fills]), max([top or 0.0, *fills])
    if top:
        fits = least - 0.01 * top <= low and 0.3 * top < high <= most + 0.01 * top
    else:  # standardised: on both sides of 0, and small
        fits = low < 0 < high and high - low < 20 + most - least
    if not fits:
        text = f"The net was given values of {low:.4g}..{high:.4g} where the recipe says {recipe.normalize}."
        yield RecipeWarning("another_range", "normalize", text)


def _decay(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    optimizer = recipe.optimizer
    decay = optimizer.weight_decay
    look_ahead = 1 + optimizer.momentum * optimizer.nesterov
    # in the units of a gradient: what each kind adds to it, per value and weight
    factor = {"l2": 2.0, "coupled": 1.0, "decoupled": 1 / look_ahead}[decay.kind]
    for one in evidence:
        expected = factor * decay.value * one.weight_norm
        if one.decay_norm is not None and one.gradient_norm and expected and not 0.5 < one.decay_norm / expected < 2:
            text = (
                f"In epoch {one.epoch} weight decay added {one.decay_norm:.3g} to the gradient (norm), where "
                f"{decay.kind} of {decay.value:g} should add {expected:.3g}."
            )
            yield RecipeWarning("no_decay", "optimizer.weight_decay", text)


def _rate(recipe: Recipe, evidence: Sequence[Evidence], train_images: int) -> Iterator[RecipeWarning]:
    steps = steps_per_epoch(recipe, train_images)
    for one in evidence:
        planned = float(rates_at(recipe, train_images, np.array([(one.epoch - 1.0) * steps]))[0])
        if not math.isclose(planned, one.learning_rate, rel_tol=1e-6, abs_tol=1e-12):
            text = f"Epoch {one.epoch} began at a rate of {one.learning_rate:.6g}, not at {planned:.6g} as planned."
            yield RecipeWarning("another_rate", "schedule", text)


def _entropy(smoothing: float, classes: int) -> float:
    """Nats, of a label with the share `smoothing` spread over all classes."""
    other = smoothing / classes
    own = 1 - smoothing + other
    return -sum(share * math.log(share) for share in [own, *[other] * (classes - 1)] if share)
