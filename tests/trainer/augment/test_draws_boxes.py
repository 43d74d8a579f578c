"""Rectangles to erase: yu4u's and Page's distributions, and the noise that fills them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.trainer.augment.distributions import chi_square, kolmogorov_smirnov
from trainer.augment.draws import Boxes, sample_params
from trainer.augment.noise import noise
from trainer.recipe.augmentation import Cutout, CutoutSquare


def yu4u(generator: np.random.Generator, knobs: Cutout) -> tuple[int, int, int, int] | None:
    """The published loop for one 32 x 32 picture: (top, left, h, w), or None where nothing is erased."""
    if generator.random() > knobs.p:
        return None
    while True:
        s = generator.uniform(knobs.s_l, knobs.s_h) * 32 * 32
        r = generator.uniform(knobs.r_1, knobs.r_2)
        w, h = int(np.sqrt(s / r)), int(np.sqrt(s * r))
        left, top = int(generator.integers(0, 32)), int(generator.integers(0, 32))
        if left + w <= 32 and top + h <= 32:
            return top, left, h, w


def test_erased_rectangles_are_distributed_as_in_the_published_loop():
    knobs, n = Cutout(), 20_000
    drawn = sample_params(knobs, 0, 1, 0, n=n)
    assert isinstance(drawn, Boxes)
    generator = np.random.default_rng(1)
    theirs = np.array([box for box in (yu4u(generator, knobs) for _ in range(n)) if box is not None])
    erased = drawn.height > 0
    ours = np.stack([drawn.top, drawn.left, drawn.height, drawn.width], axis=1)[erased]
    assert abs(erased.mean() - 0.5) < 0.015
    assert (ours[:, 0] + ours[:, 2]).max() <= 32
    assert (ours[:, 1] + ours[:, 3]).max() <= 32
    for ours_column, theirs_column in itertools.chain(
        zip(ours.T, theirs.T, strict=True),
        [(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3])],
        [(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3])],
    ):
        kolmogorov_smirnov(ours_column, theirs_column)


def test_one_value_fills_are_uniform_in_their_range():
    drawn = sample_params(Cutout(v_l=-1, v_h=3, pixel_level=False), 0, 1, 0, n=20_000)
    assert isinstance(drawn, Boxes)
    assert -1 <= drawn.value.min() <= drawn.value.max() <= 3
    chi_square(np.histogram(drawn.value, bins=50, range=(-1, 3))[0])


def test_where_no_rectangle_ever_fits_the_pictures_stay_whole():
    drawn = sample_params(Cutout(p=1, s_l=1, s_h=1, r_1=4, r_2=4), 0, 1, 0, n=10)
    assert isinstance(drawn, Boxes)
    assert not drawn.height.any()


def test_noise_is_uniform_and_belongs_to_its_seed():
    seeds = np.arange(50, dtype=np.uint32)
    values = noise(seeds, 3072)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    chi_square(np.histogram(values, bins=64, range=(0, 1))[0])
    np.testing.assert_array_equal(noise(seeds[7:8], 100)[0], values[7, :100])
    assert abs(np.corrcoef(values[0], values[1])[0, 1]) < 0.06


@pytest.mark.parametrize("size", [8, 24, 31])
def test_a_square_is_equally_likely_at_every_place_wholly_inside(size: int):
    places = 33 - size
    drawn = sample_params(CutoutSquare(size=size), 0, 1, 0, n=20 * places**2)
    assert isinstance(drawn, Boxes)
    counts = np.zeros((places, places), dtype=np.int64)
    np.add.at(counts, (drawn.top, drawn.left), 1)
    chi_square(counts)
    assert set(drawn.height) == set(drawn.width) == {size}
    assert set(drawn.value) == {0}


def test_a_square_as_large_as_the_picture_has_one_place():
    drawn = sample_params(CutoutSquare(size=32), 0, 1, 0, n=50)
    assert isinstance(drawn, Boxes)
    assert not drawn.top.any()
    assert not drawn.left.any()


def test_a_share_p_of_the_pictures_loses_a_square_of_the_recipes_value():
    drawn = sample_params(CutoutSquare(p=0.3, value=-1.5), 0, 1, 0, n=50_000)
    assert isinstance(drawn, Boxes)
    assert abs((drawn.height > 0).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(drawn.height, drawn.width)
    assert set(drawn.value) == {-1.5}
    never = sample_params(CutoutSquare(p=0), 0, 1, 0, n=1000)
    assert isinstance(never, Boxes)
    assert not never.height.any()
