"""The model and the compiled step: sizes, rates, decay and metrics, against independent calculations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trainer.engine.engines import EVERY, IMAGES, LABELS, batch, logits, losses, shared_backend, trained
from tests.trainer.engine.engines import engine as engine_of
from trainer.engine.interface import HostBatch
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import learning_rates
from trainer.recipe.network import ResNet9
from trainer.recipe.optimizer import SGD, WeightDecay
from trainer.recipe.schedule import Constant, Triangular

pytestmark = pytest.mark.keras


def engine(recipe: Recipe, steps: int = 10) -> Any:
    return engine_of(recipe, learning_rates(recipe.model_copy(update={"epochs": steps}), 12))


def tiny(**changes: Any) -> Recipe:
    knobs = {"model": ResNet9(width=2, dropout=0), "batch_size": 12, "epochs": 1, **changes}
    return Recipe(**knobs)


def test_the_original_width_has_exactly_the_originals_parameters():
    assert engine(tiny(model=ResNet9(width=64))).parameters() == {
        "total": 6_577_600,
        "trainable": 6_573_120,
        "non_trainable": 4_480,
    }


EVERY_KIND: list[dict[str, Any]] = [
    {"kind": "constant", "lr": 0.1},
    {"kind": "triangular", "base_lr": 0.001, "max_lr": 0.4, "step_epochs": 2.3},
    {"kind": "triangular2", "base_lr": 0.00001, "max_lr": 0.3, "step_epochs": 1.7},
    {"kind": "exp_range", "base_lr": 0.001, "max_lr": 0.4, "step_epochs": 2, "gamma": 0.97},
    {"kind": "sine", "step_epochs": 1.1},
    {"kind": "piecewise", "knots": [[0, 0], [5, 0.4], [9, 0]]},
    {"kind": "slopes", "rise_epochs": 3.7},
    {"kind": "step", "lr": 0.1, "factor": 0.3, "every_epochs": 2},
    {"kind": "one_cycle", "peak": 0.3, "shape": "cosine"},
    {"kind": "one_cycle", "peak": 0.3, "shape": "linear"},
]


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda schedule: schedule["kind"])
def test_every_step_of_a_run_uses_the_pure_function_s_rate_exactly(schedule: dict[str, Any]):
    """Read from the weights: a bias without decay and momentum moves by the rate times its gradient, here 1."""
    from trainer.recipe.learning_rates import calendar, schedule_rates, time_decay

    recipe = tiny(epochs=9, batch_size=5).model_copy(
        update={"schedule": Recipe.model_validate({"schedule": schedule}).schedule}
    )
    run = calendar(recipe, 12)
    steps = np.arange(run.total, dtype=np.float64)
    pure = (schedule_rates(recipe.schedule, steps, run) * time_decay(steps, recipe.optimizer.decay)).astype(np.float32)
    assert len(pure) == 27
    assert len(np.unique(pure)) > 1

    backend = shared_backend()
    import keras
    from keras import ops

    from trainer.engine.train_step import RateTable

    optimizer = keras.optimizers.SGD(RateTable(learning_rates(recipe, 12)))
    weight = keras.Variable(np.zeros((), np.float32))
    optimizer.build([weight])
    backend.own_variables([weight, *optimizer.variables])

    def step() -> Any:
        before = weight.value + 0.0
        weight.assign(ops.zeros(()))
        optimizer.apply([ops.convert_to_tensor(np.float32(-1))], [weight])
        return before

    program, seen = backend.make_program(step, "step"), []
    for _ in pure:
        program()
        seen.append(np.float32(backend.read_variable(weight)))
    np.testing.assert_array_equal(np.array(seen), pure)


def test_the_compiled_step_uses_the_table_s_rate_at_every_step_exactly():
    recipe = tiny(schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=2.3), epochs=9, batch_size=5)
    rates = learning_rates(recipe, 12)
    run, seen = engine_of(recipe, rates), []
    for _ in rates:
        seen.append(np.float32(run.backend.fetch(run._rate())))
        run.step(batch())
    np.testing.assert_array_equal(seen, rates)
    assert int(run.state()["optimizer/iteration"]) == len(rates) == 27


@pytest.mark.parametrize(
    ("kind", "pull"), [("l2", 2 * 0.01), ("coupled", 0.01), ("decoupled", None)], ids=["l2", "coupled", "decoupled"]
)
@pytest.mark.parametrize("on", ["conv", "all"])
def test_weight_decay_moves_weights_without_a_data_gradient_by_the_stated_amount(
    kind: str, pull: float | None, on: str
):
    """With zeros as input and no bias, no convolution gets a gradient: all that remains is decay."""
    decay = WeightDecay.model_validate({"kind": kind, "value": 0.01, "on": on})
    recipe = tiny(schedule=Constant(lr=0.5), optimizer=SGD(momentum=0.9, nesterov=True, decay=0, weight_decay=decay))
    run = engine(recipe)
    before = trained(run)
    for _ in range(2):
        run.step(HostBatch(np.zeros((12, 32, 32, 3), np.float32), LABELS))
    after = trained(run)
    first = before["Conv1/kernel"]
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
    before = trained(still)["Conv1/kernel"]
    still.step(HostBatch(np.zeros((12, 32, 32, 3), np.float32), LABELS))
    np.testing.assert_array_equal(trained(still)["Conv1/kernel"], before)
    assert still.end_epoch().penalty == 0

    run = engine(tiny(optimizer=SGD(weight_decay=WeightDecay(kind="l2", value=0.25))))
    squares = sum(float((weight**2).sum()) for weight in trained(run).values() if weight.ndim == 4)
    run.step(batch())
    assert run.end_epoch().penalty == pytest.approx(0.25 * squares, rel=1e-5)


def test_sums_are_means_over_images_and_empty_after_each_epoch():
    run = engine(tiny())
    said, expected = logits(run), losses(run)
    run.evaluate(EVERY[:10])
    run.evaluate(EVERY[10:])  # a smaller batch: each picture counts the same
    sums = run.end_evaluation()
    assert sums.count == 12
    assert sums.loss == pytest.approx(expected.mean(), rel=1e-5)
    assert sums.accuracy == pytest.approx((said.argmax(1) == LABELS).mean())
    classes, confidences = run.predictions()
    np.testing.assert_array_equal(classes, said.argmax(1))
    shares = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(confidences, shares.max(axis=1), rtol=1e-4)
    assert run.end_evaluation().count == 0


def test_soft_labels_of_one_class_train_as_that_class_does():
    hard, soft = engine(tiny()), engine(tiny())
    hard.step(batch())
    soft.step(HostBatch(IMAGES, np.eye(10, dtype=np.float32)[LABELS]))
    assert hard.training_metrics() == soft.training_metrics()
    assert hard.training_metrics().count == 12


def test_compiling_ahead_changes_neither_weights_nor_counters_nor_later_steps():
    recipe = tiny(model=ResNet9(width=2, dropout=0.5))
    cold, warm = engine(recipe), engine(recipe)
    warm.compile([batch(), batch(3)], [EVERY])
    for run in (cold, warm):
        for _ in range(3):
            run.step(batch())
    assert cold.training_metrics() == warm.training_metrics()
    theirs = cold.state()
    for name, value in warm.state().items():
        np.testing.assert_array_equal(value, theirs[name])


def test_programs_are_made_while_compiling_and_never_again():
    """One per batch size, or one for all if the backend accepts any size."""
    run = engine(tiny())
    run.compile([batch(), batch(5)], [EVERY[:7], EVERY[:5]])
    sizes = 1 if run.backend.accepts_any_size else 2
    assert {name: run.traces[name] for name in ("step", "evaluate")} == {"step": sizes, "evaluate": sizes}
    made = run.traces
    for size in (12, 5, 12):
        run.step(batch(size))
        run.evaluate(EVERY[:7])
        run.evaluate(EVERY[:5])
        run.end_evaluation()
        run.end_epoch()
    assert run.traces == made


def test_the_step_learns():
    run = engine(tiny(model=ResNet9(width=8, dropout=0), schedule=Constant(lr=0.02)), steps=30)
    run.step(batch())
    first = run.end_epoch().loss
    for _ in range(25):
        run.step(batch())
    run.end_epoch()
    run.step(batch())
    assert run.end_epoch().loss < first / 3
