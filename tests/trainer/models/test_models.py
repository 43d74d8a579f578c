"""The net that Keras builds is the net that the list of layers describes, whatever the knobs.

Numbers are worked out apart from the code under test: counted by Keras, or in NumPy.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.models.layers import Layer, compute_totals
from trainer.models.resnet9 import PATCH, PATCH_FILTERS, resnet9
from trainer.recipe.network import ResNet9

pytestmark = pytest.mark.keras

WHITENING = np.random.default_rng(1).normal(size=(PATCH, PATCH, 3, PATCH_FILTERS)).astype(np.float32)

RECIPES: list[tuple[dict[str, Any], int]] = [
    ({"width": 64}, 10),
    ({"width": 64}, 100),
    ({"width": 2}, 10),
    ({"width": 8, "identity": True}, 10),
    ({"width": 8, "whiten": True}, 10),
    ({"width": 8, "ghost_batch": 4}, 100),
    ({"width": 8, "bn_scale": "frozen"}, 10),
    ({"width": 8, "pool": "before"}, 10),
    ({"width": 8, "activation": "celu", "celu_alpha": 0.075}, 10),
    ({"width": 8, "logit_scale": 0.125}, 100),
    ({"width": 5, "whiten": True, "pool": "before", "bn_scale": "frozen", "logit_scale": 0.125}, 10),
    ({"width": 3, "identity": True, "ghost_batch": 2, "activation": "celu", "dropout": 0}, 7),
    (
        {
            "width": 16, "identity": True, "whiten": True, "ghost_batch": 8, "bn_scale": "frozen", "pool": "before",
            "activation": "celu", "logit_scale": 2, "init": "pytorch", "bn_momentum": 0.9, "bn_epsilon": 1e-3,
        },
        100,
    ),
]  # fmt: skip

whatever_the_knobs = pytest.mark.parametrize(("knobs", "classes"), RECIPES, ids=[str(recipe) for recipe in RECIPES])


@pytest.fixture(scope="module", autouse=True)
def keras() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        import keras
    return keras


def made(knobs: dict[str, Any], classes: int) -> tuple[list[Layer], Any]:
    from trainer.engine.model import build_model

    model = ResNet9.model_validate(knobs)
    layers = resnet9(model, classes)
    return layers, build_model(layers, model.init, WHITENING if model.whiten else None)


def size(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


@whatever_the_knobs
def test_keras_counts_the_same_parameters(knobs: dict[str, Any], classes: int):
    layers, net = made(knobs, classes)

    sums = compute_totals(layers)
    assert net.count_params() == sums.parameters
    assert size(net.trainable_weights) == sums.trainable
    assert size(net.non_trainable_weights) == sums.frozen
    for layer in layers:
        weights = net.get_layer(layer.name)
        assert (weights.count_params(), size(weights.trainable_weights)) == (layer.parameters, layer.trainable)


@whatever_the_knobs
def test_keras_has_the_same_layers_in_the_same_order_with_the_same_shapes(knobs: dict[str, Any], classes: int):
    layers, net = made(knobs, classes)

    assert [layer.name for layer in net.layers] == [layer.name for layer in layers]
    for layer in layers:
        output = net.get_layer(layer.name).output
        assert tuple(output.shape) == (None, *layer.shape), layer.name
    taken = {layer.name: layer.inputs for layer in layers}
    for layer in net.layers[1:]:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        assert tuple(tensor._keras_history.operation.name for tensor in inputs) == taken[layer.name]


@whatever_the_knobs
def test_multiply_adds_are_those_of_keras_own_shapes(keras: Any, knobs: dict[str, Any], classes: int):
    layers, net = made(knobs, classes)

    counted = {}
    for layer in net.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, rows, columns, _ = layer.output.shape  # each output is a sum over the kernel's window
            counted[layer.name] = rows * columns * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            counted[layer.name] = math.prod(layer.kernel.shape)
    assert {layer.name: layer.macs for layer in layers if layer.macs} == counted
    first = next(layer for layer in layers if layer.trainable)
    backward = sum(macs for name, macs in counted.items() if net.get_layer(name).trainable) + sum(
        macs for name, macs in counted.items() if net.get_layer(name).trainable and name != first.name
    )
    assert compute_totals(layers).flops == 2 * sum(counted.values())
    assert compute_totals(layers).training_flops == 2 * (sum(counted.values()) + backward)


@whatever_the_knobs
def test_the_net_gives_finite_logits_in_training_and_out_of_it(knobs: dict[str, Any], classes: int):
    _, net = made(knobs, classes)
    pictures = np.random.default_rng(0).random((8, 32, 32, 3), dtype=np.float32)

    for training in (True, False):
        logits = np.asarray(net(pictures, training=training))
        assert logits.shape == (8, classes)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()


def test_the_whitening_filters_are_set_and_never_trained():
    _, net = made({"width": 2, "whiten": True}, 10)

    np.testing.assert_array_equal(net.get_layer("whitening").kernel, WHITENING)
    assert "whitening/kernel" not in {weight.path for weight in net.trainable_weights}


def test_logits_are_scaled_and_celu_bends_below_zero():
    _, plain = made({"width": 2, "dropout": 0}, 10)
    _, scaled = made({"width": 2, "dropout": 0, "logit_scale": 0.125}, 10)
    scaled.set_weights(plain.get_weights())
    pictures = np.random.default_rng(0).random((4, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(scaled(pictures), 0.125 * np.asarray(plain(pictures)), rtol=1e-6)

    _, bent = made({"width": 2, "activation": "celu", "celu_alpha": 0.3}, 10)
    x = np.linspace(-3, 3, 25, dtype=np.float32)
    expected = np.maximum(x, 0) + np.minimum(0, 0.3 * np.expm1(x / 0.3))
    np.testing.assert_allclose(bent.get_layer("celu1")(x), expected, rtol=1e-5, atol=1e-6)


# ghost batch norm


def ghost_reference(
    x: NDArray[np.float64], ghost: int, gamma: Any, beta: Any, epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Each group of `ghost` pictures by itself; answers the output and the mean of the groups' statistics."""
    groups = [x[at : at + ghost] for at in range(0, len(x), ghost)]
    out = [(one - one.mean((0, 1, 2))) / np.sqrt(one.var((0, 1, 2)) + epsilon) * gamma + beta for one in groups]
    means, variances = ([statistic((0, 1, 2)) for statistic in of] for of in
                        ([one.mean for one in groups], [one.var for one in groups]))  # fmt: skip
    return np.concatenate(out), np.mean(means, axis=0), np.mean(variances, axis=0)


@pytest.mark.parametrize("is_scaled", [True, False], ids=["scaled", "not scaled"])
def test_ghost_batch_norm_is_the_reference_s_in_training_and_in_evaluation(is_scaled: bool):
    from trainer.engine.model import GhostBatchNorm

    generator = np.random.default_rng(0)
    layer = GhostBatchNorm(4, momentum=0.7, epsilon=1e-3, scale=is_scaled)
    layer.build((None, 5, 5, 3))
    gamma = generator.normal(size=3) if is_scaled else np.ones(3)
    beta = generator.normal(size=3)
    if is_scaled:
        layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    mean, variance = np.zeros(3), np.ones(3)

    for step in range(3):
        x = generator.normal(step, 1 + step, size=(12, 5, 5, 3)) * np.arange(1, 13)[:, None, None, None]
        expected, seen_mean, seen_variance = ghost_reference(x, 4, gamma, beta, 1e-3)
        mean, variance = 0.7 * mean + 0.3 * seen_mean, 0.7 * variance + 0.3 * seen_variance

        np.testing.assert_allclose(layer(x.astype(np.float32), training=True), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)

    x = generator.normal(size=(7, 5, 5, 3))  # not a multiple: evaluation has no groups
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x.astype(np.float32), training=False), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5, atol=1e-5)


def test_a_ghost_as_large_as_the_batch_is_plain_batch_norm(keras: Any):
    from trainer.engine.model import GhostBatchNorm

    x = np.random.default_rng(0).normal(3, 2, size=(8, 4, 4, 3)).astype(np.float32)
    ghost, plain = GhostBatchNorm(8, momentum=0.6), keras.layers.BatchNormalization(momentum=0.6)

    np.testing.assert_allclose(ghost(x, training=True), plain(x, training=True), rtol=1e-4, atol=1e-5)
    for one, other in zip(ghost.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_ghost_batch_norm_survives_being_saved(keras: Any):
    from trainer.engine.model import GhostBatchNorm

    layer = GhostBatchNorm(16, momentum=0.6, epsilon=1e-4, scale=False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))

    assert isinstance(again, GhostBatchNorm)
    assert (again.ghost_batch, again.momentum, again.epsilon, again.scale) == (16, 0.6, 1e-4, False)


# initial weights


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("pytorch", lambda fan_in, _: 1 / (3 * fan_in)),  # U(-1/sqrt(fan_in), 1/sqrt(fan_in))
        ("keras", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),  # Glorot
    ],
)
def test_initial_weights_are_uniform_with_the_stated_variance(keras: Any, init: str, variance: Any):
    keras.utils.set_random_seed(0)
    _, net = made({"width": 32, "init": init}, 10)

    for layer in net.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            continue
        kernel = np.asarray(layer.kernel, np.float64)
        window = math.prod(kernel.shape[:-2])
        expected = variance(window * kernel.shape[-2], window * kernel.shape[-1])
        noise = 4 / math.sqrt(kernel.size)  # of a mean over so many draws
        assert kernel.var() == pytest.approx(expected, rel=noise), layer.name
        assert abs(kernel.mean()) < noise * math.sqrt(expected)
        assert np.abs(kernel).max() <= math.sqrt(3 * expected) * (1 + 1e-6)  # uniform: no tail
