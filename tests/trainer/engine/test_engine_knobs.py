"""The settings of a step, one by one, against independent calculations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trainer.engine.engines import EVERY, IMAGES, LABELS, Values, batch, logits, losses, put, trained
from tests.trainer.engine.engines import engine as engine_of
from trainer.engine.interface import HostBatch
from trainer.recipe import Recipe
from trainer.recipe.network import Airbench, ResNet9
from trainer.recipe.optimizer import SGD, Ema, Loss, WeightDecay
from trainer.recipe.schedule import Constant

pytestmark = pytest.mark.keras
thorough = pytest.mark.thorough

PLAIN = SGD(momentum=0, nesterov=False, decay=0, weight_decay=WeightDecay(value=0))


def engine(**knobs: Any) -> Any:
    knobs = {"model": ResNet9(width=2, dropout=0), "schedule": Constant(lr=0.1), "optimizer": PLAIN, **knobs}
    return engine_of(Recipe(batch_size=12, epochs=40, **knobs))


def moved(run: Any, labels: np.ndarray = LABELS) -> Values:
    before = trained(run)
    run.step(HostBatch(IMAGES, labels))
    return {path: after - before[path] for path, after in trained(run).items()}


def close(one: Values, other: Values, factor: float = 1.0) -> None:
    for path, values in one.items():
        scale = np.abs(values).max() + 1e-12
        np.testing.assert_allclose(values, factor * other[path], rtol=0, atol=2e-4 * scale, err_msg=path)


def test_a_summed_loss_moves_the_weights_as_many_times_as_there_are_images():
    close(moved(engine(loss=Loss(reduction="sum"))), moved(engine()), 12)


def test_a_summed_loss_is_shown_as_the_mean_over_images():
    summed, mean = engine(loss=Loss(reduction="sum")), engine()
    summed.step(batch())
    mean.step(batch())
    assert summed.end_epoch().loss == pytest.approx(mean.end_epoch().loss, rel=1e-6)


def test_label_smoothing_is_the_same_as_labels_that_were_smoothed_by_hand():
    by_hand = (np.eye(10)[LABELS] * 0.8 + 0.2 / 10).astype(np.float32)
    smoothed, plain = engine(loss=Loss(label_smoothing=0.2)), engine()
    close(moved(smoothed), moved(plain, by_hand))
    hard = losses(engine(), training=True).mean()
    assert smoothed.end_epoch().loss == pytest.approx(plain.end_epoch().loss, rel=1e-5)
    assert smoothed.end_epoch().loss != pytest.approx(hard, rel=1e-3)


def test_validation_is_never_smoothed():
    smoothed, plain = engine(loss=Loss(label_smoothing=0.5)), engine()
    smoothed.evaluate(EVERY)
    plain.evaluate(EVERY)
    assert smoothed.end_evaluation() == plain.end_evaluation()


@pytest.mark.parametrize("kind", [pytest.param("l2", marks=thorough), "coupled"])
def test_biases_learn_faster_by_their_rate_and_decay_by_as_much_less(kind: str):
    """Page's bag of tricks: rate times 64 and decay over 64, so that the effect of decay is unchanged."""
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01, "on": "all"})
    plain, fast = (
        engine(optimizer=PLAIN.model_copy(update={"bias_rate": rate, "weight_decay": decay})) for rate in (1.0, 64.0)
    )
    for run in (plain, fast):  # shifts begin at 0, which decays to 0: give them a size
        for path in trained(run):
            if path.endswith("beta"):
                put(run, path, 0.5)
    start = trained(plain)
    ours, theirs = moved(fast), moved(plain)
    pull = {"l2": 0.02, "coupled": 0.01}[kind]
    for path, movement in ours.items():
        from_decay = -0.1 * pull * start[path]
        expected = 64 * (theirs[path] - from_decay) + from_decay if path.endswith("beta") else theirs[path]
        np.testing.assert_allclose(movement, expected, rtol=0, atol=2e-4 * np.abs(expected).max() + 1e-9, err_msg=path)


def test_a_frozen_scale_is_not_learned_and_an_identical_step_otherwise():
    frozen, learned = (engine(model=ResNet9(width=2, dropout=0, bn_scale=kind)) for kind in ("frozen", "trained"))
    assert not [path for path in trained(frozen) if path.endswith("gamma")]
    theirs = moved(learned)
    close(moved(frozen), {path: values for path, values in theirs.items() if not path.endswith("gamma")})


def test_the_logit_scale_multiplies_what_the_model_says():
    scaled, plain = (engine(model=ResNet9(width=2, dropout=0, logit_scale=scale)) for scale in (0.125, 1.0))
    np.testing.assert_allclose(logits(scaled), 0.125 * logits(plain), rtol=1e-5, atol=1e-7)


def test_dropout_drops_in_training_only():
    dropping = engine(model=ResNet9(width=8, dropout=0.9))
    same = [logits(dropping) for _ in range(2)]
    other = [logits(dropping, training=True) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(other[0], other[1])


def net(run: Any) -> Values:
    return {name: value.astype(np.float64) for name, value in run.state().items() if name.startswith("net/")}


@pytest.mark.parametrize(
    ("every", "rise"), [(1, 0.0), pytest.param(3, 0.0, marks=thorough), pytest.param(1, 3.0, marks=thorough), (3, 3.0)]
)
def test_validation_sees_the_running_average_of_weights_and_statistics(every: int, rise: float):
    averaging = engine(ema=Ema(decay=0.9, every=every, rise=rise))
    average = net(averaging)
    for step in range(1, 8):
        averaging.step(batch())
        if step % every == 0:
            kept = 0.9**every * (step / 40) ** rise  # 40 epochs of one step
            average = {name: average[name] * kept + now * (1 - kept) for name, now in net(averaging).items()}
    before = averaging.state()
    for name, seen in averaging.weights().items():
        np.testing.assert_allclose(seen, average[f"net/{name}"], rtol=1e-4, atol=1e-6)
    averaging.evaluate(EVERY)
    found = averaging.end_evaluation()
    for name, value in averaging.state().items():
        np.testing.assert_array_equal(value, before[name])

    plain = engine()
    for name, value in averaging.weights().items():
        plain.backend.write_variable(plain._named[f"net/{name}"], value)
    assert found.loss == pytest.approx(losses(plain).mean(), rel=1e-5)


def test_training_continues_from_an_average_that_is_copied_back():
    """airbench's lookahead: every second step the weights are set to the average."""
    ahead, plain = engine(ema=Ema(decay=0.5, every=2, put_back=True)), engine()
    first = net(ahead)
    for run in (ahead, plain):
        run.step(batch())
        run.step(batch())
    after, there = net(plain), net(ahead)
    for name, value in there.items():
        np.testing.assert_allclose(value, 0.25 * first[name] + 0.75 * after[name], rtol=1e-4, atol=1e-5)
        if f"average/{name}" in ahead.state():
            np.testing.assert_array_equal(ahead.state()[f"average/{name}"], value.astype(np.float32))


@pytest.mark.parametrize("kind", ["flip", "six"])
def test_tta_views_are_averaged_in_and_leave_the_evaluation_without_tta_alone(kind: str):
    """flip: half and half. six: the unshifted pair a half, two pairs shifted by one pixel a quarter each (airbench)."""
    looking, plain = engine(tta=kind), engine()
    looking.evaluate(EVERY[:5])
    looking.evaluate(EVERY[5:])
    found, said = looking.end_evaluation(), looking.predictions()
    again = looking.evaluate_with_tta()
    plain.evaluate(EVERY)
    assert found == plain.end_evaluation()
    np.testing.assert_array_equal(said[0], plain.predictions()[0])
    np.testing.assert_allclose(said[1], plain.predictions()[1], rtol=1e-5)

    def pair(images: np.ndarray) -> np.ndarray:
        return 0.5 * logits(plain, images) + 0.5 * logits(plain, np.ascontiguousarray(images[:, :, ::-1]))

    expected = pair(IMAGES)
    if kind == "six":
        wide = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        expected = 0.5 * expected + 0.25 * (pair(wide[:, :32, :32]) + pair(wide[:, 2:, 2:]))
    assert again.accuracy == pytest.approx((expected.argmax(1) == LABELS).mean())
    assert again.loss == pytest.approx((np.log(np.exp(expected).sum(1)) - expected[range(12), LABELS]).mean(), rel=1e-5)
    assert again.count == 12
    assert looking.end_evaluation().count == 0


@pytest.mark.parametrize(("kind", "factor"), [("l2", 2.0), ("coupled", 1.0), ("decoupled", 1 / 1.9)])
def test_the_measurement_reads_the_strength_of_each_decay_off_the_weights_movement(kind: str, factor: float):
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01})
    run = engine(optimizer=SGD(decay=0, weight_decay=decay))
    before = run.state()
    seen = run.measure_step(batch(), step=0, moving_step=3)
    assert seen.decay_norm == pytest.approx(factor * 0.01 * seen.weight_norm, rel=2e-3)
    kernels = [weight for weight in trained(run).values() if weight.ndim == 4]
    assert seen.weight_norm == pytest.approx(np.sqrt(sum((kernel**2).sum() for kernel in kernels)), rel=1e-5)
    for name, value in run.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_measurement_reads_the_data_s_gradient_whatever_momentum_is_stored():
    still = SGD(decay=0, weight_decay=WeightDecay(value=0))
    run, plain = engine(optimizer=still), engine()
    for _ in range(3):
        run.step(batch())
    for name, value in run.weights().items():
        plain.backend.write_variable(plain._named[f"net/{name}"], value)
    gradients = [movement / -0.1 for movement in moved(plain).values()]  # plain descent at a rate of 0.1
    expected = np.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))

    seen = run.measure_step(batch(), step=5, moving_step=5)
    assert seen.gradient_norm == pytest.approx(expected, rel=1e-3)
    assert seen.decay_norm == 0
    assert (seen.input_low, seen.input_high) == (IMAGES.min(), IMAGES.max())
    assert seen.learning_rate == np.float32(0.1)
    assert seen.label_entropy == 0


def test_a_whitening_layer_s_filters_stay_and_its_bias_is_learned_for_some_epochs():
    from trainer.models.airbench import PATCH, PATCH_FILTERS

    filters = np.random.default_rng(3).normal(size=(PATCH, PATCH, 3, PATCH_FILTERS)).astype(np.float32)
    model = Airbench(width=2, bias_epochs=2)
    recipe = Recipe(batch_size=12, epochs=5, model=model, schedule=Constant(lr=0.01), optimizer=SGD(momentum=0.9))
    run, biases = engine_of(recipe, whitening=filters), []
    for _ in range(4):
        run.step(batch())
        biases.append(run.state()["net/whitening/bias"])
    np.testing.assert_array_equal(run.state()["net/whitening/kernel"], filters)
    assert np.abs(biases[0]).max() > 0
    assert not np.array_equal(biases[1], biases[0])
    np.testing.assert_array_equal(biases[2], biases[1])
    np.testing.assert_array_equal(biases[3], biases[1])
