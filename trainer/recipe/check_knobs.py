"""Warnings about knobs that do something else than they seem to. Part of the recipe check (check.py).

The figures are from the original experiment and from measurements; none of this stops a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.recipe.augmentation import ERASERS, TOPS, Crop, Cutout, CutoutSquare, Flip, Operation, Pad, order_done
from trainer.recipe.recipe import Recipe
from trainer.recipe.warning import RecipeWarning

SHORT = 40  # epochs: fewer do not let slow running statistics catch up
PAGES_DECAY = 5e-4  # coupled; what the experiment's weight decay of 5e-4 was meant to be


def warnings(recipe: Recipe) -> list[RecipeWarning]:
    return [*_operations(recipe), *_batch_norm(recipe), *_decay(recipe)]


def _operations(recipe: Recipe) -> Iterator[RecipeWarning]:
    operations = list(recipe.augment)
    yield from _crop_before_pad(operations)
    for position, operation in enumerate(operations):
        path = f"augment.{position}"
        if isinstance(operation, ERASERS):
            yield from _eraser(recipe, position, operation)
        if getattr(operation, "p", 1) == 0:
            without = operations[:position] + operations[position + 1 :]
            yield RecipeWarning(
                "does_nothing", path, f"{_named(operation)} has a probability of 0.", "Remove it", _list(without)
            )
        if isinstance(operation, Flip) and operation.p and recipe.dataset.name == "digits":
            without = operations[:position] + operations[position + 1 :]
            text = "A mirrored digit is another digit, or none: flipping teaches the net what is not so."
            yield RecipeWarning("mirrored_digits", path, text, "Do not flip", _list(without))
    done = order_done(operations)
    if done != sorted(done):
        text = "Erasers work on normalised pixels, so they come last whatever their place in the list."
        ordered = [operations[position] for position in done]
        yield RecipeWarning("erasers_come_last", "augment", text, "Write them last", _list(ordered))


def _crop_before_pad(operations: list[Operation]) -> Iterator[RecipeWarning]:
    crop = next((at for at, one in enumerate(operations) if isinstance(one, Crop)), None)
    pad = next((at for at, one in enumerate(operations) if isinstance(one, Pad)), None)
    if crop is None or pad is None or crop > pad:
        return
    text = (
        "Cropping before padding throws the picture's own edge away and puts a mirror image of the rest in its place; "
        "it cost the original experiment 5 points (92.2 to 87 %)."
    )
    padding = operations[pad]
    assert isinstance(padding, Pad)
    whole = {"op": "pad_crop", "pad": padding.pad, "mode": padding.mode}
    others = [whole if at == crop else one.model_dump(mode="json") for at, one in enumerate(operations) if at != pad]
    yield RecipeWarning("crop_before_pad", f"augment.{crop}", text, "Pad first, then crop", {"augment": others})


def _eraser(recipe: Recipe, position: int, operation: Cutout | CutoutSquare) -> Iterator[RecipeWarning]:
    top = TOPS.get(recipe.normalize)
    low, high = (0.0, top) if top else (-3.0, 3.0)  # standardised pixels lie about ±2
    fill = (operation.v_l, operation.v_h) if isinstance(operation, Cutout) else (operation.value, operation.value)
    path, range_words = f"augment.{position}", recipe.normalize if top else "about -2..2"
    fits = {"v_l": low, "v_h": high} if isinstance(operation, Cutout) else {"value": 0.0}
    changed = [one.model_dump(mode="json") | (fits if at == position else {}) for at, one in enumerate(recipe.augment)]
    said = f"{fill[0]:g}..{fill[1]:g}" if fill[0] != fill[1] else f"{fill[0]:g}"
    if fill[0] < low * 1.01 - 0.01 or fill[1] > high * 1.01:
        text = (
            f"{_named(operation)} fills with {said}, but the net sees pixels of {range_words}: values "
            "that no picture has, which upset the batch norm of everything around them."
        )
        mend = f"Fill with {low:g}..{high:g}" if isinstance(operation, Cutout) else "Fill with 0"
        yield RecipeWarning("eraser_out_of_range", path, text, mend, {"augment": changed})
    elif isinstance(operation, Cutout) and operation.pixel_level and fill[1] - fill[0] < 0.1 * (high - low):
        text = (
            f"{_named(operation)} fills with {said} of a range of {range_words}: to the net that is "
            "one flat colour, not noise."
        )
        yield RecipeWarning("eraser_is_flat", path, text, f"Fill with {low:g}..{high:g}", {"augment": changed})


def _batch_norm(recipe: Recipe) -> Iterator[RecipeWarning]:
    momentum = recipe.model.bn_momentum
    if momentum > 0.97 and recipe.epochs <= SHORT:
        text = (
            f"A batch-norm momentum of {momentum:g} keeps statistics from hundreds of steps ago, and validation after "
            f"each epoch uses them: in short runs that costs points which are not the weights' fault "
            "(0.99 against 0.9: 7 to 8 points after 6 epochs, measured)."
        )
        fix = {"model": {"bn_momentum": 0.9}}
        yield RecipeWarning("slow_statistics", "model.bn_momentum", text, "Take 0.9 (PyTorch's 0.1)", fix)


def _decay(recipe: Recipe) -> Iterator[RecipeWarning]:
    optimizer, path = recipe.optimizer, "optimizer.weight_decay"
    decay, momentum = optimizer.weight_decay, optimizer.momentum
    if not decay.value:
        return
    if recipe.loss.reduction == "sum":
        alike = decay.value * {"l2": 2, "coupled": 1, "decoupled": 1 - momentum}[decay.kind] / recipe.batch_size
        if alike >= PAGES_DECAY / 4:  # meant for a sum: multiplied by the batch size, as Page does
            return
        text = (
            f"The loss is summed over {recipe.batch_size} pictures and the decay is not: it pulls as weakly as coupled "
            f"decay of {alike:.3g} does with a mean."
        )
        yield RecipeWarning("decay_beside_a_sum", path, text, "Take the mean", {"loss": {"reduction": "mean"}})
    elif decay.kind == "l2" and decay.value >= 0.8 * PAGES_DECAY:
        text = (
            f"l2 of {decay.value:g} pulls as strongly as coupled weight decay of {2 * decay.value:g} (its gradient "
            f"is 2·value·w). Page's recipes and PyTorch mean the coupled kind when they say {decay.value:g}."
        )
        fix = _decay_fix(kind="coupled", value=decay.value)
        yield RecipeWarning("l2_is_twice_coupled", path, text, f"Use coupled {decay.value:g}", fix)
    elif decay.kind == "decoupled" and momentum and decay.value < 2e-3:
        alike = decay.value * (1 - momentum)
        text = (
            f"decoupled decay of {decay.value:g} stands outside the momentum, so over a run it pulls as strongly as "
            f"coupled decay of {alike:.3g}: {1 / (1 - momentum):.3g} times weaker than its number looks."
        )
        fix = _decay_fix(kind="coupled", value=decay.value)
        yield RecipeWarning("decoupled_is_weaker", path, text, f"Use coupled {decay.value:g}", fix)


def _decay_fix(**knobs: Any) -> dict[str, Any]:
    return {"optimizer": {"weight_decay": knobs}}


def _list(operations: list[Operation]) -> dict[str, Any]:
    return {"augment": [operation.model_dump(mode="json") for operation in operations]}


def _named(operation: Operation) -> str:
    return operation.op.replace("_", " ").capitalize()
