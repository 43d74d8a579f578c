"""What is drawn: the same for a picture wherever it lands, and with the distributions the sources give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.augment.draws import Boxes, Crops, Draws, Flips, draw, noise, order
from trainer.augment.operations import Cutout, Flip, Operation, PadCrop

OPERATIONS: list[Operation] = [PadCrop(), Flip(), Cutout()]


def columns(drawn: Draws) -> dict[str, np.ndarray]:
    return vars(drawn)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.op)
@given(few=st.integers(1, 300), more=st.integers(300, 500), seed=st.integers(0, 2**32 - 1))
def test_a_pictures_draws_do_not_depend_on_how_many_follow(operation: Operation, few: int, more: int, seed: int):
    short, long = (columns(draw(operation, seed, 3, 1, n=n)) for n in (few, more))
    for name in short:
        np.testing.assert_array_equal(short[name], long[name][:few])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.op)
def test_seed_epoch_and_position_each_change_the_draws(operation: Operation):
    base = draw(operation, 1, 1, 0, n=500)
    for other in (
        draw(operation, 2, 1, 0, n=500),
        draw(operation, 1, 2, 0, n=500),
        draw(operation, 1, 1, 1, n=500),
    ):
        assert any(
            not np.array_equal(mine, theirs)
            for mine, theirs in zip(columns(base).values(), columns(other).values(), strict=True)
        )


def test_the_order_is_a_permutation_that_changes_with_the_epoch():
    first, second = order(0, 1, 1000), order(0, 2, 1000)
    assert sorted(first) == list(range(1000))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, order(0, 1, 1000))


def test_half_of_the_pictures_are_flipped_and_none_or_all_where_p_says_so():
    drawn = draw(Flip(p=0.5), 0, 1, 0, n=40_000)
    assert isinstance(drawn, Flips)
    assert abs(drawn.flipped.mean() - 0.5) < 0.01
    never, always = (draw(Flip(p=p), 0, 1, 0, n=2000) for p in (0, 1))
    assert isinstance(never, Flips)
    assert isinstance(always, Flips)
    assert not never.flipped.any()
    assert always.flipped.all()


def test_all_81_offsets_of_a_padding_of_4_are_equally_likely():
    drawn = draw(PadCrop(pad=4), 0, 1, 0, n=81_000)
    assert isinstance(drawn, Crops)
    counts = np.zeros((9, 9))
    np.add.at(counts, (drawn.top, drawn.left), 1)
    # Chi-square with 80 degrees of freedom: 99.9 % lie below 124.8.
    assert ((counts - 1000) ** 2 / 1000).sum() < 124.8


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
    drawn = draw(knobs, 0, 1, 0, n=n)
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
        assert kolmogorov_smirnov(ours_column, theirs_column) < 1.95 * np.sqrt(2 / len(theirs))  # 99.9 %


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    values = np.sort(np.concatenate([a, b]))
    below = (np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (a, b))
    return float(np.abs(np.subtract(*below)).max())


def test_where_no_rectangle_ever_fits_the_pictures_stay_whole():
    drawn = draw(Cutout(p=1, s_l=1, s_h=1, r_1=4, r_2=4), 0, 1, 0, n=10)
    assert isinstance(drawn, Boxes)
    assert not drawn.height.any()


def test_noise_is_uniform_and_belongs_to_its_seed():
    seeds = np.arange(50, dtype=np.uint32)
    values = noise(seeds, 3072)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    histogram = np.histogram(values, bins=64, range=(0, 1))[0]
    expected = values.size / 64
    assert ((histogram - expected) ** 2 / expected).sum() < 103.4  # 63 degrees of freedom, 99.9 %
    np.testing.assert_array_equal(noise(seeds[7:8], 100)[0], values[7, :100])
    assert abs(np.corrcoef(values[0], values[1])[0, 1]) < 0.06
