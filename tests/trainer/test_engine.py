"""The net and the compiled step: sizes, rates, decay and sums, against numbers worked out apart from them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from trainer.recipe import SGD, Constant, Recipe, ResNet9, Triangular, WeightDecay
from trainer.schedules import learning_rates

pytestmark = pytest.mark.keras

IMAGES = np.random.default_rng(0).random((12, 32, 32, 3), dtype=np.float32)
LABELS = np.arange(12, dtype=np.int64) % 10


@pytest.fixture(scope="module", autouse=True)
def keras() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        import keras
        import tensorflow

        assert tensorflow.__version__
    return keras


def engine(recipe: Recipe, steps: int = 10) -> Any:
    from trainer.engine.tensorflow import TensorFlowEngine

    return TensorFlowEngine(recipe, 10, learning_rates(recipe.model_copy(update={"epochs": steps}), 12))


def tiny(**changes: Any) -> Recipe:
    knobs = {"model": ResNet9(width=2, dropout=0), "batch_size": 12, "epochs": 1, **changes}
    return Recipe(**knobs)


def test_the_original_width_has_exactly_the_originals_parameters():
    from trainer.models.resnet9 import resnet9

    model = resnet9(ResNet9(width=64), classes=10)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == (6_577_600, 6_573_120)
    assert engine(tiny(model=ResNet9(width=64))).parameters() == {
        "total": 6_577_600,
        "trainable": 6_573_120,
        "non_trainable": 4_480,
    }


def test_the_identity_layers_stand_where_the_original_had_them_and_change_nothing():
    from trainer.models.resnet9 import resnet9

    plain, put_back = (resnet9(ResNet9(width=4, identity=identity), 10) for identity in (False, True))
    names = [layer.name for layer in put_back.layers]
    assert names[names.index("pool1") + 1] == "id1"
    assert names[names.index("pool3") + 1] == "id2"
    assert put_back.count_params() == plain.count_params()
    put_back.set_weights(plain.get_weights())
    np.testing.assert_array_equal(plain(IMAGES), put_back(IMAGES))


def test_layers_and_their_settings_are_the_originals():
    from trainer.models.resnet9 import resnet9

    model = resnet9(ResNet9(width=4, bn_momentum=0.1, dropout=0.1), 100)
    layers = {layer.name: layer for layer in model.layers}
    assert [layers[f"Conv{number}"].filters for number in range(1, 9)] == [4, 8, 8, 8, 16, 32, 32, 32]
    assert not any(layers[f"Conv{number}"].use_bias for number in range(1, 9))
    assert (layers["Bn1"].epsilon, layers["Bn1"].momentum) == (1e-5, 0.1)
    assert (layers["dropout1"].rate, layers["dropout2"].rate) == (0.1, 0.1)
    assert model.output_shape == (None, 100)


def test_the_compiled_step_uses_the_table_s_rate_at_every_step_exactly():
    recipe = tiny(schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=2.3), epochs=9, batch_size=5)
    rates = learning_rates(recipe, 12)
    from trainer.engine.tensorflow import RateTable, TensorFlowEngine

    run = TensorFlowEngine(recipe, 10, rates)
    seen = []
    for _ in rates:
        seen.append(np.float32(run.optimizer.learning_rate))
        run.step(IMAGES, LABELS)
    np.testing.assert_array_equal(seen, rates)
    assert int(run.optimizer.iterations) == len(rates) == 27

    import tensorflow as tf

    table = RateTable(rates)
    compiled = tf.function(table)
    inside = [compiled(tf.constant(step, tf.int64)).numpy() for step in range(len(rates))]
    np.testing.assert_array_equal(np.array(inside, np.float32), rates)


@pytest.mark.parametrize(
    ("kind", "pull"), [("l2", 2 * 0.01), ("coupled", 0.01), ("decoupled", None)], ids=["l2", "coupled", "decoupled"]
)
@pytest.mark.parametrize("on", ["conv", "all"])
def test_weight_decay_moves_weights_without_a_data_gradient_by_the_stated_amount(
    kind: str, pull: float | None, on: str
):
    """A net that sees only zeros and has no bias sends no gradient to any convolution: the rest is decay."""
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01, "on": on})
    recipe = tiny(schedule=Constant(lr=0.5), optimizer=SGD(momentum=0.9, nesterov=True, decay=0, weight_decay=decay))
    run = engine(recipe)
    before = {weight.path: weight.numpy() for weight in run.model.trainable_variables}
    for _ in range(2):
        run.step(np.zeros((12, 32, 32, 3), np.float32), LABELS)
    after = {weight.path: weight.numpy() for weight in run.model.trainable_variables}
    first = before["Conv1/kernel"].astype(np.float64)
    # Nesterov in Keras' form: v = m·v - lr·g; w += m·v - lr·g
    velocity = np.zeros_like(first)
    expected = first.copy()
    for _ in range(2):
        if pull is None:
            expected -= 0.5 * 0.01 * expected
        else:
            gradient = pull * expected
            velocity = 0.9 * velocity - 0.5 * gradient
            expected += 0.9 * velocity - 0.5 * gradient
    np.testing.assert_allclose(after["Conv1/kernel"], expected, rtol=1e-5, atol=1e-8)
    # The scale of the first batch norm gets no data gradient either: its input is zero.
    changed = not np.array_equal(before["Bn1/gamma"], after["Bn1/gamma"])
    assert changed == (on == "all")


def test_no_decay_moves_nothing_and_the_penalty_is_value_times_the_sum_of_squares():
    still = engine(tiny(optimizer=SGD(weight_decay=WeightDecay(value=0))))
    before = still.model.get_layer("Conv1").kernel.numpy()
    still.step(np.zeros((12, 32, 32, 3), np.float32), LABELS)
    np.testing.assert_array_equal(still.model.get_layer("Conv1").kernel.numpy(), before)
    assert still.epoch_end().penalty == 0

    run = engine(tiny(optimizer=SGD(weight_decay=WeightDecay(kind="l2", value=0.25))))
    squares = sum(
        float((weight.numpy().astype(np.float64) ** 2).sum())
        for weight in run.model.trainable_variables
        if len(weight.shape) == 4
    )
    run.step(IMAGES, LABELS)
    assert run.epoch_end().penalty == pytest.approx(0.25 * squares, rel=1e-5)


def test_sums_are_means_over_pictures_and_empty_after_each_epoch(keras: Any):
    run = engine(tiny())
    logits = np.asarray(run.model(IMAGES, training=False))
    losses = np.asarray(keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True))
    run.evaluate(IMAGES[:10], LABELS[:10])
    run.evaluate(IMAGES[10:], LABELS[10:])  # a smaller batch: each picture counts the same
    sums = run.evaluation_end()
    assert sums.count == 12
    assert sums.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert sums.accuracy == pytest.approx((logits.argmax(1) == LABELS).mean())
    assert run.evaluation_end().count == 0


def test_soft_labels_of_one_class_train_as_that_class_does():
    hard, soft = engine(tiny()), engine(tiny())
    hard.step(IMAGES, LABELS)
    soft.step(IMAGES, np.eye(10, dtype=np.float32)[LABELS])
    assert hard.progress() == soft.progress()
    assert hard.progress().count == 12


def test_compiling_ahead_changes_neither_weights_nor_counters_nor_later_steps():
    recipe = tiny(model=ResNet9(width=2, dropout=0.5))
    cold, warm = engine(recipe), engine(recipe)
    warm.compile([12, 3], [12])
    assert int(warm.optimizer.iterations) == 0
    for run in (cold, warm):
        for _ in range(3):
            run.step(IMAGES, LABELS)
    assert cold.progress() == warm.progress()
    for one, other in zip(cold.model.get_weights(), warm.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_smaller_last_batch_needs_no_new_program():
    run = engine(tiny())
    run.step(IMAGES, LABELS)
    run.step(IMAGES[:5], LABELS[:5])
    run.step(IMAGES[:1], LABELS[:1])
    assert run._step.experimental_get_tracing_count() == 1


def test_the_step_learns():
    run = engine(tiny(model=ResNet9(width=8, dropout=0), schedule=Constant(lr=0.02)), steps=30)
    run.step(IMAGES, LABELS)
    first = run.epoch_end().loss
    for _ in range(25):
        run.step(IMAGES, LABELS)
    run.epoch_end()
    run.step(IMAGES, LABELS)
    assert run.epoch_end().loss < first / 3
