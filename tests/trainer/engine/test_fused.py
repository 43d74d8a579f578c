"""The fused layers and optimizer give the same numbers as Keras: forward, backward and in variables."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.trainer.engine.engines import shared_backend
from trainer.engine.model import build_model
from trainer.models.architectures import build_layers
from trainer.models.norms import Norms, find_poolable, find_recomputable
from trainer.recipe.network import Airbench, ResNet9

pytestmark = pytest.mark.keras
PICTURES = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype(np.float32)
ABOVE = np.random.default_rng(1).normal(size=(6, 4, 4, 3)).astype(np.float32)
large_and_small = pytest.mark.parametrize("large", [1, 10**9])  # values of a picture from which not all are kept
KNOBS = {"momentum": 0.9, "epsilon": 1e-3}


@pytest.fixture(scope="module")
def tf() -> Any:
    shared_backend()
    import tensorflow

    return tensorflow


@pytest.mark.parametrize("activation", ["relu", "celu"])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("side", [8, 9])  # of 9, the last row and column are in no window
@large_and_small
def test_a_pooled_norm_is_the_three_layers_that_it_stands_for(
    tf: Any, large: int, side: int, activation: str, scale: bool
):
    import keras

    from trainer.engine.fused import FusedBatchNorm, PooledBatchNorm

    bend = keras.activations.get(activation)
    apart, together = FusedBatchNorm(scale=scale, **KNOBS), PooledBatchNorm(bend, 2, large, scale=scale, **KNOBS)
    pool = keras.layers.MaxPool2D(2)
    given = np.random.default_rng(0).normal(size=(6, side, side, 3)).astype(np.float32)
    found = []
    for norm, forward in ((apart, lambda x, **how: pool(bend(apart(x, **how)))), (together, together)):
        norm.build(given.shape)
        norm.beta.assign([0.5, -0.5, 0])
        if scale:
            norm.gamma.assign([1, -2, 0.1])

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def step(pictures: Any, forward: Any = forward, norm: Any = norm) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(pictures)
                made = forward(pictures, training=True)
                loss = tf.reduce_sum(made * ABOVE)
            return made, tape.gradient(loss, [pictures, *[one.value for one in norm.trainable_variables]])

        made, gradients = step(tf.constant(given))
        outside = forward(tf.constant(given), training=False)
        found.append([made, *gradients, *[one.value for one in norm.variables], outside])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-5, atol=1e-6)
    assert tuple(together.compute_output_shape((None, side, side, 3))) == (None, 4, 4, 3)


@large_and_small
def test_a_pooled_norm_moves_its_running_statistics_once_a_step(tf: Any, large: int):
    import keras

    from trainer.engine.fused import PooledBatchNorm

    norm = PooledBatchNorm(keras.activations.relu, 2, large, **KNOBS)
    norm.build(PICTURES.shape)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(pictures: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(norm(pictures, training=True))
        return tape.gradient(loss, norm.gamma.value)

    step(tf.constant(PICTURES))
    np.testing.assert_allclose(norm.moving_mean, 0.1 * PICTURES.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * PICTURES.var(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [True, False])
def test_the_update_is_keras_own(tf: Any, momentum: float, nesterov: bool):
    import keras

    from trainer.engine.fused import FusedSGD

    found = []
    for kind in (keras.optimizers.SGD, FusedSGD):
        weight = keras.Variable(np.linspace(-1, 1, 7, dtype=np.float32))
        optimizer = kind(learning_rate=0.3, momentum=momentum, nesterov=nesterov)
        for number in range(4):
            optimizer.apply([tf.sin(weight.value * (number + 1))], [weight])
        found.append([np.asarray(weight), *[np.asarray(one) for one in optimizer.variables]])
    assert np.abs(found[0][0] - np.linspace(-1, 1, 7)).max() > 0.1
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)


@large_and_small
def test_a_model_of_such_norms_has_the_weights_answers_and_gradients_of_keras_own(tf: Any, large: int):
    from trainer.engine.fused import FusedBatchNorm, PooledBatchNorm, RecomputedBatchNorm

    knobs = ResNet9(width=2, dropout=0)
    made = build_layers(knobs, 10)
    norms = Norms(FusedBatchNorm, partial(PooledBatchNorm, large=large), partial(RecomputedBatchNorm, large=large))
    nets = (build_model(made, knobs.init), build_model(made, knobs.init, norms=norms))
    names = [[f"{layer.name}/{one.name}" for layer in net.layers for one in layer.variables] for net in nets]
    assert names[0] == names[1]
    kinds = [type(layer).__name__ for layer in nets[1].layers]
    assert (kinds.count("PooledBatchNorm"), kinds.count("RecomputedBatchNorm")) == (3, 1)
    assert len(kinds) == len(nets[0].layers) - 6
    generator = np.random.default_rng(2)
    pictures = generator.random((4, 32, 32, 3), dtype=np.float32)
    weights = generator.random((4, 10), dtype=np.float32)
    found = []
    for net in nets:

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def step(pictures: Any, net: Any = net) -> Any:
            with tf.GradientTape() as tape:
                answers = net(pictures, training=True)
                loss = tf.reduce_sum(answers * weights)
            return answers, *tape.gradient(loss, [one.value for one in net.trainable_variables])

        made_of = [np.asarray(one) for one in step(tf.constant(pictures))]
        variables = [np.asarray(one) for one in net.variables]
        found.append([*made_of, *variables, np.asarray(net(pictures, training=False))])
    assert len(found[0]) > 40
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * max(1, np.abs(one).max()))


def test_what_may_become_one_layer():
    assert sorted(find_poolable(build_layers(ResNet9(), 10))) == ["Bn2", "Bn5", "Bn6"]
    assert sorted(find_poolable(build_layers(ResNet9(activation="celu"), 10))) == ["Bn2", "Bn5", "Bn6"]
    for knobs in (ResNet9(pool="before"), ResNet9(ghost_batch=32), Airbench()):
        assert find_poolable(build_layers(knobs, 10)) == {}


def test_what_the_first_convolution_makes_is_made_again_where_one_norm_alone_takes_it():
    assert {norm: one.name for norm, one in find_recomputable(build_layers(ResNet9(), 10)).items()} == {"Bn1": "Conv1"}
    for knobs in (ResNet9(ghost_batch=32), ResNet9(whiten=True), Airbench()):
        assert find_recomputable(build_layers(knobs, 10)) == {}
