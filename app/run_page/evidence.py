"""The evidence of a run as a table: settings, their values in the recipe, and what was measured at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.web.templates import figure
from trainer.events import Evidence
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Operation

DECAY_FORMULAS = {"l2": "2·value·w", "coupled": "value·w", "decoupled": "value·w, outside the momentum"}


@dataclass(frozen=True)
class Row:
    setting: str
    expected: str  # by the recipe
    values: list[str]  # one per measured step


def evidence_rows(recipe: Recipe, evidence: Sequence[Evidence]) -> list[Row]:
    def row(setting: str, expected: str, value: Callable[[Evidence], str]) -> Row:
        return Row(setting, expected, [value(one) for one in evidence])

    decay, loss = recipe.optimizer.weight_decay, recipe.loss
    labels = f"smoothing {loss.label_smoothing:g}" + (", mixed" if recipe.mixup else "")
    rows = [
        row(f"augment.{position}", _operation_text(operation), partial(_change, position=position))
        for position, operation in enumerate(recipe.augment)
    ]
    if recipe.mixup:
        text = f"mixup, alpha {recipe.mixup.alpha:g}, {recipe.mixup.pairing}, {recipe.mixup.when}"
        rows.append(row("mixup", text, partial(_change, position=None)))
    return [
        *rows,
        row("augment_when", recipe.augment_when.replace("_", " "), _new_pixels),
        row("labels", labels, lambda one: f"entropy {one.label_entropy:.3f}"),
        row("normalize", recipe.normalize, lambda one: f"{one.input_low:.3g} to {one.input_high:.3g}"),
        row("learning rate", recipe.schedule.kind.replace("_", " "), lambda one: figure(one.learning_rate)),
        row("weight_decay", f"{decay.kind} {decay.value:g} ({DECAY_FORMULAS[decay.kind]})", _decay),
    ]


def _operation_text(operation: Operation) -> str:
    settings = {key: value for key, value in operation.model_dump(mode="json").items() if key != "op"}
    return f"{operation.op.replace('_', ' ')} " + ", ".join(f"{key} {_short(value)}" for key, value in settings.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()


def _change(one: Evidence, position: int | None) -> str:
    name = "mixup" if position is None else None
    for change in one.changes:
        if change.position == position and (name is None or change.name == name):
            return f"{change.pixels:.1%} of pixels, {change.pictures:.0%} of images"
    return "not applied"


def _new_pixels(one: Evidence) -> str:
    return "–" if one.new_pixels is None else f"{one.new_pixels:.1%} of pixels differ from epoch 1"


def _decay(one: Evidence) -> str:
    if one.gradient_norm is None or one.decay_norm is None:
        return "the gradient is not finite"
    if not one.gradient_norm or not one.weight_norm:
        return "not measurable at a learning rate of 0" if one.weight_norm else "no weights to decay"
    return f"{one.decay_norm / one.gradient_norm:.2g} of the gradient ({one.decay_norm / one.weight_norm:.3g}·w)"
