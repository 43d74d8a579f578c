"""Compares what was measured during a run (trainer/loop/measure.py) with its recipe, and warns about differences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.events import Evidence
from trainer.recipe.augmentation import INPUT_MAX, Cutout, CutoutSquare
from trainer.recipe.learning_rates import rates_at, steps_per_epoch
from trainer.recipe.recipe import Recipe
from trainer.recipe.warning import RecipeWarning

MIN_EXPECTED_CHANGES = 5  # images that an operation should have changed before "changed none" counts as evidence


def check_evidence(
    recipe: Recipe, evidence: Sequence[Evidence], train_images: int, classes: int
) -> list[RecipeWarning]:
    """A warning for each measurement that contradicts the recipe."""
    if not evidence:
        return []
    return [
        *_check_batch(evidence),
        *_check_operations(recipe, evidence),
        *_check_randomness(recipe, evidence),
        *_check_labels(recipe, evidence, classes),
        *_check_input_range(recipe, evidence),
        *_check_weight_decay(recipe, evidence),
        *_check_learning_rate(recipe, evidence, train_images),
    ]


def _check_batch(evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    for one in evidence:
        if not one.is_what_the_step_saw:
            text = f"The first batch of epoch {one.epoch} is not what the recipe's operations produce from its images."
            yield RecipeWarning("another_batch", "augment", text)


def _check_operations(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    expected: list[tuple[str, int | None, str, float]] = [
        (f"augment.{index}", index, one.op, getattr(one, "p", 1.0)) for index, one in enumerate(recipe.augment)
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
        images = sum(one.pictures for one in evidence)
        if not any(shares) and p * images >= MIN_EXPECTED_CHANGES:
            text = f"{name} changed no pixel of the {images} images that were checked: it had no effect."
            yield RecipeWarning("no_effect", path, text)


def _check_randomness(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    is_random = any(change.pixels and change.name not in {"pad", "mixup"} for one in evidence for change in one.changes)
    for one in evidence:
        if one.new_pixels is None:
            continue
        if recipe.augment_when == "each_epoch" and is_random and not one.new_pixels:
            text = f"Epoch {one.epoch} saw the same images as epoch 1: augmentation ran once, not every epoch."
            yield RecipeWarning("drawn_once", "augment_when", text)
        if recipe.augment_when == "once" and one.new_pixels:
            text = f"Epoch {one.epoch} saw different images than epoch 1: augmentation should have run only once."
            yield RecipeWarning("drawn_again", "augment_when", text)


def _check_labels(recipe: Recipe, evidence: Sequence[Evidence], classes: int) -> Iterator[RecipeWarning]:
    smoothing, measured = recipe.loss.label_smoothing, max(one.label_entropy for one in evidence)
    unmixed = _label_entropy(smoothing, classes)
    if recipe.mixup and measured <= unmixed + 1e-4:
        yield RecipeWarning("labels_not_mixed", "mixup", "The loss used labels of single images, not mixed labels.")
    if smoothing and measured < unmixed - 1e-3:
        text = f"The loss used sharper labels (entropy {measured:.3f}) than smoothing produces ({unmixed:.3f})."
        yield RecipeWarning("labels_not_smoothed", "loss.label_smoothing", text)
    if not recipe.mixup and measured > unmixed + 1e-3:
        text = f"The loss used softer labels (entropy {measured:.3f}) than the recipe produces ({unmixed:.3f})."
        yield RecipeWarning("labels_too_soft", "loss", text)


def _check_input_range(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    low, high = min(one.input_low for one in evidence), max(one.input_high for one in evidence)
    top = INPUT_MAX.get(recipe.normalize)
    fills = [value for one in recipe.augment if isinstance(one, Cutout) for value in (one.v_l, one.v_h)]
    fills += [one.value for one in recipe.augment if isinstance(one, CutoutSquare)]
    lowest, highest = min([0.0, *fills]), max([top or 0.0, *fills])
    if top:
        fits = lowest - 0.01 * top <= low and 0.3 * top < high <= highest + 0.01 * top
    else:  # standardised: on both sides of 0, and small
        fits = low < 0 < high and high - low < 20 + highest - lowest
    if not fits:
        text = f"The model's input was in {low:.4g}..{high:.4g}, but the recipe says {recipe.normalize}."
        yield RecipeWarning("another_range", "normalize", text)


def _check_weight_decay(recipe: Recipe, evidence: Sequence[Evidence]) -> Iterator[RecipeWarning]:
    optimizer = recipe.optimizer
    decay = optimizer.weight_decay
    look_ahead = 1 + optimizer.momentum * optimizer.nesterov
    # contribution to the gradient per value and weight
    factor = {"l2": 2.0, "coupled": 1.0, "decoupled": 1 / look_ahead}[decay.kind]
    for one in evidence:
        expected = factor * decay.value * one.weight_norm
        if one.decay_norm is not None and one.gradient_norm and expected and not 0.5 < one.decay_norm / expected < 2:
            text = (
                f"In epoch {one.epoch}, weight decay added {one.decay_norm:.3g} to the gradient (norm); "
                f"{decay.kind} of {decay.value:g} should add {expected:.3g}."
            )
            yield RecipeWarning("no_decay", "optimizer.weight_decay", text)


def _check_learning_rate(recipe: Recipe, evidence: Sequence[Evidence], train_images: int) -> Iterator[RecipeWarning]:
    steps = steps_per_epoch(recipe, train_images)
    for one in evidence:
        planned = float(rates_at(recipe, train_images, np.array([(one.epoch - 1.0) * steps]))[0])
        if not math.isclose(planned, one.learning_rate, rel_tol=1e-6, abs_tol=1e-12):
            text = (
                f"Epoch {one.epoch} started with a learning rate of {one.learning_rate:.6g} instead of {planned:.6g}."
            )
            yield RecipeWarning("another_rate", "schedule", text)


def _label_entropy(smoothing: float, classes: int) -> float:
    """Entropy in nats of a label with the share `smoothing` spread over all classes."""
    other = smoothing / classes
    own = 1 - smoothing + other
    return -sum(share * math.log(share) for share in [own, *[other] * (classes - 1)] if share)
