"""The step's knobs, one by one, against numbers worked out apart from the engine."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from trainer.recipe import Recipe
from trainer.recipe_model import ResNet9
from trainer.recipe_optimizer import SGD, Ema, Loss, WeightDecay
from trainer.recipe_schedule import Constant
from trainer.schedules import learning_rates

pytestmark = pytest.mark.keras

IMAGES = np.random.default_rng(0).random((12, 32, 32, 3), dtype=np.float32)
LABELS = np.arange(12, dtype=np.int64) % 10
PLAIN = SGD(momentum=0, nesterov=False, decay=0, weight_decay=WeightDecay(value=0))


@pytest.fixture(scope="module", autouse=True)
def keras() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        import keras
        import tensorflow

        assert tensorflow.__version__
    return keras


def engine(**knobs: Any) -> Any:
    from trainer.engine.tensorflow import TensorFlowEngine

    knobs = {"model": ResNet9(width=2, dropout=0), "schedule": Constant(lr=0.1), "optimizer": PLAIN, **knobs}
    recipe = Recipe(batch_size=12, epochs=40, **knobs)
    return TensorFlowEngine(recipe, 10, learning_rates(recipe, 12))


def weights(run: Any) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy().astype(np.float64) for weight in run.model.trainable_variables}


def moved(run: Any, labels: np.ndarray = LABELS) -> dict[str, np.ndarray]:
    before = weights(run)
    run.step(IMAGES, labels)
    return {path: after - before[path] for path, after in weights(run).items()}


def close(one: dict[str, np.ndarray], other: dict[str, np.ndarray], factor: float = 1.0) -> None:
    for path, values in one.items():
        scale = np.abs(values).max() + 1e-12
        np.testing.assert_allclose(values, factor * other[path], rtol=0, atol=2e-4 * scale, err_msg=path)


def test_a_summed_loss_moves_the_weights_as_many_times_as_there_are_pictures():
    close(moved(engine(loss=Loss(reduction="sum"))), moved(engine()), 12)


def test_a_summed_loss_is_shown_as_the_mean_over_pictures():
    summed, mean = engine(loss=Loss(reduction="sum")), engine()
    summed.step(IMAGES, LABELS)
    mean.step(IMAGES, LABELS)
    assert summed.epoch_end().loss == pytest.approx(mean.epoch_end().loss, rel=1e-6)


def test_label_smoothing_is_the_same_as_labels_that_were_smoothed_by_hand(keras: Any):
    by_hand = (np.eye(10)[LABELS] * 0.8 + 0.2 / 10).astype(np.float32)
    smoothed, plain = engine(loss=Loss(label_smoothing=0.2)), engine()
    close(moved(smoothed), moved(plain, by_hand))

    fresh = engine()
    logits = np.asarray(fresh.model(IMAGES, training=True))
    expected = np.asarray(keras.losses.categorical_crossentropy(by_hand, logits, from_logits=True)).mean()
    assert smoothed.epoch_end().loss == pytest.approx(expected, rel=1e-5)


def test_validation_is_never_smoothed():
    smoothed, plain = engine(loss=Loss(label_smoothing=0.5)), engine()
    smoothed.evaluate(IMAGES, LABELS)
    plain.evaluate(IMAGES, LABELS)
    assert smoothed.evaluation_end() == plain.evaluation_end()


@pytest.mark.parametrize("kind", ["l2", "coupled"])
def test_biases_learn_faster_by_their_rate_and_decay_by_as_much_less(kind: str):
    """Page's bag of tricks: rate times 64, decay over 64, so that decay takes as much off as before."""
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01, "on": "all"})
    plain, fast = (
        engine(optimizer=PLAIN.model_copy(update={"bias_rate": rate, "weight_decay": decay})) for rate in (1.0, 64.0)
    )
    for run in (plain, fast):  # shifts begin at 0, which decays to 0: give them a size
        for weight in run.model.trainable_variables:
            if weight.name == "beta":
                weight.assign(np.full(weight.shape, 0.5, np.float32))
    start = weights(plain)
    ours, theirs = moved(fast), moved(plain)
    pull = {"l2": 0.02, "coupled": 0.01}[kind]
    for path, movement in ours.items():
        from_decay = -0.1 * pull * start[path]
        expected = 64 * (theirs[path] - from_decay) + from_decay if path.endswith("beta") else theirs[path]
        np.testing.assert_allclose(movement, expected, rtol=0, atol=2e-4 * np.abs(expected).max() + 1e-9, err_msg=path)


def test_a_frozen_scale_is_not_learned_and_an_identical_step_otherwise():
    frozen, trained = (engine(model=ResNet9(width=2, dropout=0, bn_scale=kind)) for kind in ("frozen", "trained"))
    assert not [path for path in weights(frozen) if path.endswith("gamma")]
    theirs = moved(trained)
    close(moved(frozen), {path: values for path, values in theirs.items() if not path.endswith("gamma")})


def test_the_logit_scale_multiplies_what_the_net_says():
    scaled, plain = (engine(model=ResNet9(width=2, dropout=0, logit_scale=scale)) for scale in (0.125, 1.0))
    scaled.model.set_weights(plain.model.get_weights())
    np.testing.assert_allclose(scaled.model(IMAGES), 0.125 * np.asarray(plain.model(IMAGES)), rtol=1e-5, atol=1e-7)


def test_dropout_drops_in_training_only():
    dropping = engine(model=ResNet9(width=8, dropout=0.9))
    same = [np.asarray(dropping.model(IMAGES, training=False)) for _ in range(2)]
    other = [np.asarray(dropping.model(IMAGES, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(other[0], other[1])


@pytest.mark.parametrize("every", [1, 3])
def test_validation_sees_the_running_average_of_weights_and_statistics(every: int):
    averaging = engine(ema=Ema(decay=0.9, every=every))
    average = [weight.numpy().astype(np.float64) for weight in averaging.model.weights]
    for step in range(1, 8):
        averaging.step(IMAGES, LABELS)
        if step % every == 0:
            now = [weight.numpy().astype(np.float64) for weight in averaging.model.weights]
            average = [old * 0.9**every + new * (1 - 0.9**every) for old, new in zip(average, now, strict=True)]
    trained = averaging.model.get_weights()
    averaging.evaluate(IMAGES, LABELS)
    for inside, expected in zip(averaging.model.get_weights(), average, strict=True):
        np.testing.assert_allclose(inside, expected, rtol=1e-4, atol=1e-6)
    assert not all(np.allclose(one, other) for one, other in zip(averaging.model.get_weights(), trained, strict=True))
    averaging.evaluation_end()
    for after, before in zip(averaging.model.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("kind", "factor"), [("l2", 2.0), ("coupled", 1.0), ("decoupled", 1 / 1.9)])
def test_the_witness_reads_the_strength_of_each_decay_off_the_weights_movement(kind: str, factor: float):
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01})
    run = engine(optimizer=SGD(decay=0, weight_decay=decay))
    before = run.state()
    seen = run.witness(IMAGES, LABELS, step=0, moving_step=3)
    assert seen.decay_norm == pytest.approx(factor * 0.01 * seen.weight_norm, rel=2e-3)
    kernels = [weight.numpy() for weight in run.model.trainable_variables if len(weight.shape) == 4]
    assert seen.weight_norm == pytest.approx(np.sqrt(sum((kernel**2).sum() for kernel in kernels)), rel=1e-5)
    for name, value in run.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_witness_measures_the_data_s_gradient_whatever_momentum_is_stored(keras: Any):
    import tensorflow as tf

    run = engine(optimizer=SGD(decay=0, weight_decay=WeightDecay(value=0)))
    for _ in range(3):
        run.step(IMAGES, LABELS)
    kept = run.model.get_weights()
    with tf.GradientTape() as tape:
        logits = run.model(IMAGES, training=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True))
    gradients = tape.gradient(loss, run.model.trainable_variables)
    expected = np.sqrt(sum(float((np.asarray(gradient) ** 2).sum()) for gradient in gradients))
    run.model.set_weights(kept)

    seen = run.witness(IMAGES, LABELS, step=5, moving_step=5)
    assert seen.gradient_norm == pytest.approx(expected, rel=1e-3)
    assert seen.decay_norm == 0
    assert (seen.input_low, seen.input_high) == (IMAGES.min(), IMAGES.max())
    assert seen.learning_rate == np.float32(0.1)
    assert seen.label_entropy == 0
