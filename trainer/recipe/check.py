"""The recipe check: warns before a run about settings with unexpected effects.

Warnings never stop a run. The figures come from the original experiment and from measurements. evidence.py checks what
was measured during a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.recipe import check_schedule
from trainer.recipe.augmentation import (
    ERASERS,
    INPUT_MAX,
    Crop,
    Cutout,
    CutoutSquare,
    Flip,
    Operation,
    Pad,
    execution_order,
)
from trainer.recipe.recipe import Recipe
from trainer.recipe.warning import RecipeWarning

SHORT_RUN = 40  # epochs; in fewer, running statistics with a high momentum do not converge
PAGE_DECAY = 5e-4  # coupled; the strength that the original experiment's weight decay of 5e-4 was meant to have


def check_recipe(recipe: Recipe, train_images: int | None) -> list[RecipeWarning]:
    """All warnings about a recipe. `train_images` None: unknown, so the schedule is not checked."""
    return [
        *(check_schedule.warnings(recipe, train_images) if train_images else ()),
        *_check_operations(recipe),
        *_check_batch_norm(recipe),
        *_check_weight_decay(recipe),
    ]


def _check_operations(recipe: Recipe) -> Iterator[RecipeWarning]:
    operations = list(recipe.augment)
    yield from _check_crop_before_pad(operations)
    for position, operation in enumerate(operations):
        path = f"augment.{position}"
        if isinstance(operation, ERASERS):
            yield from _check_eraser(recipe, position, operation)
        others = operations[:position] + operations[position + 1 :]
        if getattr(operation, "p", 1) == 0:
            text = f"{_label(operation)} has a probability of 0."
            yield RecipeWarning("does_nothing", path, text, "Remove it", _augment_fix(others))
        if isinstance(operation, Flip) and operation.p and recipe.dataset.name == "digits":
            text = "A mirrored digit is a different digit, or none: flipping teaches the model wrong labels."
            yield RecipeWarning("mirrored_digits", path, text, "Do not flip", _augment_fix(others))
    order = execution_order(operations)
    if order != sorted(order):
        text = "Cutouts work on normalised pixels, so they run last regardless of their position in the list."
        ordered = [operations[position] for position in order]
        yield RecipeWarning("erasers_come_last", "augment", text, "Move them to the end", _augment_fix(ordered))


def _check_crop_before_pad(operations: list[Operation]) -> Iterator[RecipeWarning]:
    crop = next((index for index, one in enumerate(operations) if isinstance(one, Crop)), None)
    pad = next((index for index, one in enumerate(operations) if isinstance(one, Pad)), None)
    if crop is None or pad is None or crop > pad:
        return
    text = (
        "Cropping before padding discards the edge of the image and replaces it with a mirror image of the rest. "
        "It cost the original experiment 5 points (92.2 to 87 %)."
    )
    padding = operations[pad]
    assert isinstance(padding, Pad)
    combined = {"op": "pad_crop", "pad": padding.pad, "mode": padding.mode}
    fixed = [
        combined if index == crop else one.model_dump(mode="json")
        for index, one in enumerate(operations)
        if index != pad
    ]
    yield RecipeWarning("crop_before_pad", f"augment.{crop}", text, "Pad first, then crop", {"augment": fixed})


def _check_eraser(recipe: Recipe, position: int, operation: Cutout | CutoutSquare) -> Iterator[RecipeWarning]:
    top = INPUT_MAX.get(recipe.normalize)
    low, high = (0.0, top) if top else (-3.0, 3.0)  # standardised pixels lie about ±2
    fill = (operation.v_l, operation.v_h) if isinstance(operation, Cutout) else (operation.value, operation.value)
    path, input_range = f"augment.{position}", recipe.normalize if top else "about -2..2"
    fill_range = f"{fill[0]:g}..{fill[1]:g}" if fill[0] != fill[1] else f"{fill[0]:g}"
    in_range = {"v_l": low, "v_h": high} if isinstance(operation, Cutout) else {"value": 0.0}
    fix = {
        "augment": [
            one.model_dump(mode="json") | (in_range if index == position else {})
            for index, one in enumerate(recipe.augment)
        ]
    }
    if fill[0] < low * 1.01 - 0.01 or fill[1] > high * 1.01:
        text = (
            f"{_label(operation)} fills with {fill_range}, but the model's input range is {input_range}. "
            "Values that occur in no image distort the batch-norm statistics."
        )
        fix_label = f"Fill with {low:g}..{high:g}" if isinstance(operation, Cutout) else "Fill with 0"
        yield RecipeWarning("eraser_out_of_range", path, text, fix_label, fix)
    elif isinstance(operation, Cutout) and operation.pixel_level and fill[1] - fill[0] < 0.1 * (high - low):
        text = (
            f"{_label(operation)} fills with {fill_range} in an input range of {input_range}: the model sees a flat "
            "colour instead of noise."
        )
        yield RecipeWarning("eraser_is_flat", path, text, f"Fill with {low:g}..{high:g}", fix)


def _check_batch_norm(recipe: Recipe) -> Iterator[RecipeWarning]:
    momentum = recipe.model.bn_momentum
    if momentum > 0.97 and recipe.epochs <= SHORT_RUN:
        text = (
            f"With a batch-norm momentum of {momentum:g}, validation uses statistics from hundreds of steps ago, which "
            "lowers the accuracy of short runs (0.99 instead of 0.9 costs 7 to 8 points after 6 epochs, measured)."
        )
        fix = {"model": {"bn_momentum": 0.9}}
        yield RecipeWarning("slow_statistics", "model.bn_momentum", text, "Use 0.9 (PyTorch's 0.1)", fix)


def _check_weight_decay(recipe: Recipe) -> Iterator[RecipeWarning]:
    optimizer, path = recipe.optimizer, "optimizer.weight_decay"
    decay, momentum = optimizer.weight_decay, optimizer.momentum
    if not decay.value:
        return
    if recipe.loss.reduction == "sum":
        equivalent = decay.value * {"l2": 2, "coupled": 1, "decoupled": 1 - momentum}[decay.kind] / recipe.batch_size
        if equivalent >= PAGE_DECAY / 4:  # meant for a sum: multiplied by the batch size, as Page does
            return
        text = (
            f"The loss is summed over {recipe.batch_size} images but weight decay is not: it is only as strong as "
            f"coupled decay of {equivalent:.3g} with a mean loss."
        )
        yield RecipeWarning("decay_beside_a_sum", path, text, "Use the mean", {"loss": {"reduction": "mean"}})
    elif decay.kind == "l2" and decay.value >= 0.8 * PAGE_DECAY:
        text = (
            f"l2 of {decay.value:g} is as strong as coupled weight decay of {2 * decay.value:g} (its gradient "
            f"is 2·value·w). In Page's recipes and PyTorch, {decay.value:g} means coupled decay."
        )
        fix = _decay_fix(kind="coupled", value=decay.value)
        yield RecipeWarning("l2_is_twice_coupled", path, text, f"Use coupled {decay.value:g}", fix)
    elif decay.kind == "decoupled" and momentum and decay.value < 2e-3:
        equivalent = decay.value * (1 - momentum)
        text = (
            f"Decoupled decay of {decay.value:g} is not amplified by the momentum, so over a run it is only as strong "
            f"as coupled decay of {equivalent:.3g}, {1 / (1 - momentum):.3g} times weaker."
        )
        fix = _decay_fix(kind="coupled", value=decay.value)
        yield RecipeWarning("decoupled_is_weaker", path, text, f"Use coupled {decay.value:g}", fix)


def _decay_fix(**knobs: Any) -> dict[str, Any]:
    return {"optimizer": {"weight_decay": knobs}}


def _augment_fix(operations: list[Operation]) -> dict[str, Any]:
    return {"augment": [operation.model_dump(mode="json") for operation in operations]}


def _label(operation: Operation) -> str:
    return operation.op.replace("_", " ").capitalize()
