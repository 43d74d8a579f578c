"""The engine's state: saved as a copy, loaded completely, refused if it does not fit; and the weight averages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.engine.engines import EVERY, batch, losses
from tests.trainer.engine.engines import engine as engine_of
from trainer.failures import CannotTrain
from trainer.recipe import Recipe

pytestmark = pytest.mark.keras

KNOBS: dict[str, Any] = {
    "model": {"width": 2, "dropout": 0.5},
    "schedule": {"kind": "constant", "lr": 0.05},
    "ema": {"decay": 0.5, "every": 2},
    "batch_size": 12,
    "epochs": 20,
}

State = dict[str, NDArray[Any]]


def engine(**changes: Any) -> Any:
    return engine_of(Recipe.model_validate({**KNOBS, **changes}))


def differing(one: State, other: State) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if one[name].tobytes() != other[name].tobytes()]


def test_a_state_holds_all_that_a_step_changes_under_names_that_another_engine_has_too():
    run, other = engine(), engine()
    before = run.state()
    run.step(batch())
    run.step(batch())
    after = run.state()
    kinds = {name.partition("/")[0] for name in differing(before, after)}
    assert kinds == {"net", "optimizer", "average", "sums"}
    moved = differing(before, after)
    for name in ("net/dropout1/seed_generator_state", "net/Bn1/moving_variance", "optimizer/iteration"):
        assert name in moved
    assert {"average/net/Conv1/kernel", "average/steps", "optimizer/Conv1_kernel_momentum", "sums/training"} <= {*moved}
    assert other.state().keys() == before.keys()


def test_a_state_is_a_copy_that_later_steps_leave_alone():
    run = engine()
    run.step(batch())
    taken = run.state()
    kept = {name: array.copy() for name, array in taken.items()}
    for _ in range(3):
        run.step(batch())
    assert differing(taken, kept) == []


def test_an_engine_with_another_s_state_does_the_same_steps():
    run, other = engine(), engine(seed=5)
    run.compile([batch()], [EVERY])
    other.compile([batch()], [EVERY])
    for _ in range(3):
        run.step(batch())
    other.restore(run.state())
    assert differing(other.state(), run.state()) == []
    for one in (run, other):
        one.step(batch())
        one.step(batch(5))
    assert differing(other.state(), run.state()) == []
    assert run.end_epoch() == other.end_epoch()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.pop("average/steps"),
        lambda state: state.update(extra=np.zeros(1)),
        lambda state: state.update({"net/Conv1/kernel": np.zeros((3, 3, 3, 3), np.float32)}),
        lambda state: state.update({"net/Bn1/beta": np.zeros(2, np.float64)}),
    ],
    ids=["missing", "extra", "shape", "type"],
)
def test_a_state_that_does_not_fit_in_every_name_shape_and_type_changes_nothing(spoil: Any):
    run = engine()
    before = run.state()
    run.step(batch())
    after = run.state()
    spoil(before)
    with pytest.raises(CannotTrain, match="1 of its arrays do not fit"):
        run.restore(before)
    assert differing(run.state(), after) == []


def test_an_evaluation_sees_the_average_and_training_goes_on_without_it():
    """Also after compile(), which evaluates as well: it once left the averages in place of the weights."""
    compiled, plain = engine(), engine()
    compiled.compile([batch()], [EVERY])
    for one in (compiled, plain):
        for _ in range(3):
            one.step(batch())
    trained = compiled.state()
    assert differing(trained, plain.state()) == []
    averages = compiled.weights()
    assert not np.array_equal(averages["Conv1/kernel"], trained["net/Conv1/kernel"])
    assert np.array_equal(averages["Conv1/kernel"], trained["average/net/Conv1/kernel"])

    compiled.evaluate(EVERY)
    seen = compiled.end_evaluation()
    assert differing(compiled.state(), trained) == []

    for name, value in averages.items():
        plain.backend.write_variable(plain._named[f"net/{name}"], value)
    assert seen.loss == pytest.approx(losses(plain).mean(), rel=1e-5)


def test_a_state_taken_in_the_middle_of_an_evaluation_is_the_trained_one():
    run = engine()
    run.step(batch())
    trained = run.state()
    run.evaluate(EVERY)
    assert differing(run.state(), trained) == ["sums/evaluation"]


def test_without_an_average_an_evaluation_s_weights_are_the_trained_ones():
    run = engine(ema=None)
    run.step(batch())
    assert not any(name.startswith("average") for name in run.state())
    for name, array in run.weights().items():
        assert np.array_equal(array, run.state()[f"net/{name}"])
    assert len(run.weights()) == len(run.model.weights)
