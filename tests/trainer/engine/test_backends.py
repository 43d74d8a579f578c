"""The same steps on each backend: they agree, resume from a state bit by bit, and compile nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.engine.one_backend import RIGHT_OF

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600)]
BACKENDS = ["tensorflow", "jax"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, results = tmp_path_factory.mktemp("backends"), {}
    for name in BACKENDS:
        path: Path = folder / f"{name}.npz"
        command = [sys.executable, "-m", "tests.trainer.engine.one_backend", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": name, "CUDA_VISIBLE_DEVICES": "-1"})
        with np.load(path) as file:
            arrays = {key.removeprefix("state "): file[key] for key in file.files if key.startswith("state ")}
            results[name] = {"said": json.loads(str(file["said"])), "images": file["images"], "state": arrays}
    return results


def test_losses_agree_step_by_step_and_so_do_evaluations_with_and_without_tta_views(found: dict[str, Any]):
    one, other = (found[name]["said"]["losses"] for name in BACKENDS)
    assert len(one) == 7
    np.testing.assert_allclose(one, other, rtol=2e-4)
    assert len({round(loss, 5) for loss in one}) == 7


def test_weights_momenta_statistics_and_averages_agree_after_the_steps(found: dict[str, Any]):
    one, other = (found[name]["state"] for name in BACKENDS)
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name.endswith("seed_generator_state"):
            continue
        scale = np.abs(value).max() + 1e-6
        np.testing.assert_allclose(other[name], value, rtol=0, atol=5e-3 * scale, err_msg=name)


def test_both_change_images_alike(found: dict[str, Any]):
    one, other = (found[name]["images"] for name in BACKENDS)
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_from_a_state_the_same_steps_make_the_same_bits_and_no_program_anew(found: dict[str, Any], name: str):
    assert found[name]["said"]["same"]
    assert not found[name]["said"]["traced_again"]


@pytest.mark.parametrize("name", BACKENDS)
def test_an_accuracy_is_exactly_the_quotient_of_two_integers(found: dict[str, Any], name: str):
    assert found[name]["said"]["shares"] == [right / count for right, count in RIGHT_OF]
