"""What an accuracy owes to the images that it was measured on."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.metrics.sampling_error import share_interval, standard_error
from app.web.deps import State
from tests.app.support.cast import SMALL, SPACE, trained


def test_the_standard_error_is_the_binomial_one():
    assert standard_error(0.931, 10_000) == pytest.approx(0.002535, abs=1e-6)
    assert standard_error(1.0, 300) == standard_error(1.0000000000000002, 300) == 0
    assert standard_error(None, 300) is standard_error(0.5, None) is standard_error(0.5, 0) is None


def test_the_interval_is_the_exact_one():
    """Clopper and Pearson's for all of n: from (alpha/2)^(1/n) to 1."""
    assert share_interval(1.0, 300) == pytest.approx((0.025 ** (1 / 300), 1.0))
    assert share_interval(0.931, 10_000) == pytest.approx((0.92585, 0.93589), abs=1e-5)
    assert share_interval(None, 300) is share_interval(0.5, None) is None


@pytest.mark.parametrize("true", [0.1, 0.93, 0.995])
@pytest.mark.parametrize("images", [30, 300])
def test_the_interval_covers_the_accuracy_on_all_images_in_at_least_93_of_100_cases(true: float, images: int):
    covered = 0
    right, cases = np.unique(np.random.default_rng(0).binomial(images, true, 1000), return_counts=True)
    for value, count in zip(right.tolist(), cases.tolist(), strict=True):
        low, high = share_interval(value / images, images) or (0, 0)
        covered += count * (low <= true <= high)
    assert covered / 1000 >= 0.93


def test_run_and_group_say_what_the_images_add_beside_the_seeds(client: TestClient, state: State):
    for seed, end in enumerate((0.90, 0.92)):
        trained(client, state, (0.5, end), recipe=SMALL | {"seed": seed})

    run = client.get("/api/v1/runs/1").json()
    group = client.get(f"/api/v1/groups/{run['recipe_hash']}").json()

    assert run["sampling_error"] == pytest.approx(0.01732, abs=1e-5)
    assert run["sampling_interval"] == [pytest.approx(0.8604, abs=1e-4), pytest.approx(0.9315, abs=1e-4)]
    assert (group["val_images"], group["concerns"]) == (300, {})
    assert group["sampling_error"] == pytest.approx((0.91 * 0.09 / 300) ** 0.5)
    assert f"± 1.73{SPACE}% from being measured on these 300 images" in client.get("/runs/1").text
    page = client.get(f"/groups/{run['recipe_hash']}").text
    assert f"± 1.41{SPACE}% is the deviation over 2 seeds" in page
    assert f"± 1.65{SPACE}% comes from being measured on these 300 images" in page
