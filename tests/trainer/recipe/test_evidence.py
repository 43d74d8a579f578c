"""The judge of the evidence, on evidence made by hand: silent where all is as the recipe says, a word where not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trainer.events import Evidence
from trainer.recipe import Recipe
from trainer.recipe.evidence import check_evidence
from trainer.recipe.learning_rates import learning_rates, steps_per_epoch

PICTURES, CLASSES = 4000, 10
RECIPE: dict[str, Any] = {
    "batch_size": 100,
    "augment": [{"op": "flip"}, {"op": "cutout"}],
    "optimizer": {"weight_decay": {"kind": "l2", "value": 0.001}},
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**RECIPE, **changes})


def evidence(of: Recipe, epoch: int = 1, **changes: Any) -> Evidence:
    """What an honest run of `of` would say."""
    names: list[tuple[str, int | None]] = [(operation.op, position) for position, operation in enumerate(of.augment)]
    if of.mixup:
        names.append(("mixup", None))
    rate = float(learning_rates(of, PICTURES)[(epoch - 1) * steps_per_epoch(of, PICTURES)])
    look_ahead = 1 + of.optimizer.momentum * of.optimizer.nesterov
    strength = {"l2": 2.0, "coupled": 1.0, "decoupled": 1 / look_ahead}[of.optimizer.weight_decay.kind]
    smoothing = of.loss.label_smoothing
    other = smoothing / CLASSES
    entropy = -(1 - 9 * other) * math.log(1 - 9 * other) - (9 * other * math.log(other) if other else 0.0)
    top = {"0..1": 1.0, "0..127": 127.0, "0..255": 255.0, "standardised": 2.0}[of.normalize]
    said = {
        "epoch": epoch,
        "pictures": 100,
        "changes": [{"name": name, "position": at, "pixels": 0.4, "pictures": 0.5} for name, at in names],
        "is_what_the_step_saw": True,
        "new_pixels": None if epoch == 1 else (0.0 if of.augment_when == "once" else 0.7),
        "learning_rate": rate,
        "label_entropy": entropy + (0.3 if of.mixup else 0.0),
        "input_low": -2.0 if of.normalize == "standardised" else 0.0,
        "input_high": top,
        "gradient_norm": 1.0,
        "decay_norm": strength * of.optimizer.weight_decay.value * 15,
        "weight_norm": 15.0,
    }
    return Evidence.model_validate(said | changes)


def found(of: Recipe, *measured: Evidence) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in check_evidence(of, measured, PICTURES, CLASSES)]


HONEST: list[dict[str, Any]] = [
    {},
    {"augment": []},
    {"augment_when": "once"},
    {"mixup": {"pairing": "permute"}},
    {"loss": {"label_smoothing": 0.2}, "mixup": {}},
    {"normalize": "standardised"},
    {"normalize": "0..127", "augment": [{"op": "cutout", "v_h": 127}]},
    {"optimizer": {"weight_decay": {"kind": "decoupled", "value": 0.01}}},
    {"optimizer": {"weight_decay": {"value": 0}}},
    {"schedule": {"kind": "piecewise", "knots": [[0, 0], [2, 0.4]]}},
]


@pytest.mark.parametrize("changes", HONEST, ids=str)
def test_a_run_that_does_what_its_recipe_says_gets_no_word(changes: dict[str, Any]):
    of = recipe(**changes)
    assert found(of, evidence(of), evidence(of, 2)) == []


def test_nothing_is_said_of_what_was_not_measured():
    assert check_evidence(recipe(), [], PICTURES, CLASSES) == []


UNCHANGED = [{"name": "flip", "position": 0, "pixels": 0.0, "pictures": 0.0}]
LIES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("no_effect", "augment.0", {}, {"changes": [*UNCHANGED, {"name": "cutout", "position": 1, "pixels": 0.1}]}),
    ("no_effect", "augment.1", {}, {"changes": [{"name": "flip", "position": 0, "pixels": 0.5}]}),
    ("no_effect", "mixup", {"augment": [], "mixup": {}}, {"changes": []}),
    ("another_batch", "augment", {}, {"is_what_the_step_saw": False}),
    ("labels_not_mixed", "mixup", {"mixup": {}}, {"label_entropy": 0.0}),
    ("labels_not_mixed", "mixup", {"mixup": {}, "loss": {"label_smoothing": 0.2}}, {"label_entropy": 0.8669}),
    ("labels_not_smoothed", "loss.label_smoothing", {"loss": {"label_smoothing": 0.2}}, {"label_entropy": 0.0}),
    ("labels_too_soft", "loss", {}, {"label_entropy": 0.5}),
    ("another_range", "normalize", {}, {"input_high": 255.0}),
    ("another_range", "normalize", {"normalize": "0..255"}, {"input_high": 1.0}),
    ("another_range", "normalize", {"normalize": "standardised"}, {"input_low": 0.0}),
    ("no_decay", "optimizer.weight_decay", {}, {"decay_norm": 0.0}),
    ("no_decay", "optimizer.weight_decay", {}, {"decay_norm": 0.3}),
    ("another_rate", "schedule", {}, {"learning_rate": 0.4}),
]


@pytest.mark.parametrize(("code", "path", "changes", "measured"), LIES, ids=lambda value: str(value)[:40])
def test_what_contradicts_the_recipe_is_named(code: str, path: str, changes: dict[str, Any], measured: dict[str, Any]):
    of = recipe(**changes)
    assert (code, path) in found(of, evidence(of, **measured))


def test_pictures_that_do_not_change_from_epoch_to_epoch_are_named_and_the_other_way_round():
    each, once = recipe(), recipe(augment_when="once")
    assert ("drawn_once", "augment_when") in found(each, evidence(each), evidence(each, 2, new_pixels=0.0))
    assert ("drawn_again", "augment_when") in found(once, evidence(once), evidence(once, 2, new_pixels=0.2))


def test_an_operation_that_rarely_strikes_is_not_suspected_for_missing_a_few_pictures():
    rare = recipe(augment=[{"op": "flip", "p": 0.02}, {"op": "cutout"}])
    quiet = evidence(rare, changes=[*UNCHANGED, {"name": "cutout", "position": 1, "pixels": 0.1}])
    assert found(rare, quiet) == []
    assert found(rare, quiet, quiet, quiet) == [("no_effect", "augment.0")]  # six of 300 were to be expected


def test_an_epoch_at_a_rate_of_zero_says_nothing_of_the_decay():
    of = recipe()
    assert found(of, evidence(of, gradient_norm=0.0, decay_norm=0.0)) == []


def test_a_gradient_that_is_no_number_can_be_said_and_is_not_taken_for_a_missing_decay():
    of = recipe()
    assert found(of, evidence(of, gradient_norm=math.nan, decay_norm=math.inf)) == []
