"""One step of the engine against the same step in NumPy and float64: loss, gradients, statistics, update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trainer.engine import reference
from tests.trainer.engine.engines import IMAGES, LABELS, NORMAL, PICTURES, batch, engine, trained
from trainer.models.architectures import build_layers
from trainer.models.whitening import compute_filters
from trainer.recipe import Recipe

pytestmark = pytest.mark.keras

RATE = 0.05
SHARES = np.eye(10)[LABELS]
RECIPES: dict[str, dict[str, Any]] = {
    "the original's": {"optimizer": {"decay": 0, "weight_decay": {"kind": "l2", "value": 0.02, "on": "conv"}}},
    "page-2018's": {
        "model": {"width": 2, "dropout": 0, "init": "pytorch", "logit_scale": 0.125, "bn_momentum": 0.9},
        "optimizer": {"decay": 0, "weight_decay": {"kind": "coupled", "value": 0.02, "on": "all"}},
    },
    "page-tricks'": {
        "model": {
            "width": 2,
            "dropout": 0,
            "bn_scale": "frozen",
            "ghost_batch": 4,
            "activation": "celu",
            "pool": "before",
            "logit_scale": 0.5,
        },
        "optimizer": {
            "decay": 0,
            "bias_rate": 64,
            "weight_decay": {"kind": "coupled", "value": 0.02, "on": "all"},
        },
        "loss": {"label_smoothing": 0.2},
        "last_batch": "drop",
    },
    "airbench's": {
        "model": {"name": "airbench", "width": 2, "bn_epsilon": 1e-3},  # its own epsilon divides by zeros here
        "optimizer": {
            "momentum": 0.85,
            "decay": 0,
            "bias_rate": 64,
            "weight_decay": {"kind": "coupled", "value": 0.02, "on": "all"},
        },
        "loss": {"label_smoothing": 0.2},
    },
    "decoupled decay, plain momentum": {
        "optimizer": {"decay": 0, "nesterov": False, "weight_decay": {"kind": "decoupled", "value": 0.5, "on": "all"}}
    },
}


def recipe_of(name: str) -> Recipe:
    knobs = {"model": {"width": 2, "dropout": 0}, **RECIPES[name]}
    return Recipe.model_validate({**knobs, "schedule": {"kind": "constant", "lr": RATE}, "batch_size": 12, "epochs": 3})


def whitening(recipe: Recipe) -> Any:
    return compute_filters(recipe.model, PICTURES, NORMAL)


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_is_the_one_worked_out_in_float64(name: str):
    recipe = recipe_of(name)
    run = engine(recipe, whitening=whitening(recipe))
    before = {path: value.astype(np.float64) for path, value in run.weights().items()}
    expected = reference.step(
        build_layers(recipe.model, 10), before, IMAGES.astype(np.float64), SHARES, recipe, float(np.float32(RATE))
    )
    run.step(batch())
    after = run.state()
    assert run.training_metrics().loss == pytest.approx(expected.loss, rel=1e-5)
    assert expected.gradients.keys() == trained(run).keys() == expected.weights.keys()
    for path, value in expected.statistics.items():
        np.testing.assert_allclose(after[f"net/{path}"], value, rtol=1e-4, atol=1e-6, err_msg=path)
    for path, value in expected.weights.items():
        moved, should = after[f"net/{path}"] - before[path], value - before[path]
        np.testing.assert_allclose(moved, should, rtol=0, atol=1e-3 * np.abs(should).max() + 1e-7, err_msg=path)


@pytest.mark.thorough  # of what the test above is held against
@pytest.mark.parametrize("name", ["page-tricks'", "airbench's"])
def test_the_reference_s_gradient_is_the_slope_of_its_loss(name: str):
    """Checks the reference: each gradient against a difference quotient in a random direction."""
    recipe = recipe_of(name)
    made = build_layers(recipe.model, 10)
    drawn = np.random.default_rng(1)
    started = engine(recipe, whitening=whitening(recipe))
    weights = {path: value.astype(np.float64) for path, value in started.weights().items()}
    pictures = drawn.random((8, 32, 32, 3))

    def loss(changed: dict[str, np.ndarray]) -> float:
        return reference.step(made, changed, pictures, SHARES[:8], recipe, RATE).loss

    found = reference.step(made, weights, pictures, SHARES[:8], recipe, RATE)
    for path, gradient in found.gradients.items():
        way = drawn.normal(size=gradient.shape)
        there, back = (loss(weights | {path: weights[path] + by * way}) for by in (1e-6, -1e-6))
        assert (there - back) / 2e-6 == pytest.approx((gradient * way).sum(), rel=1e-3, abs=1e-7), path
