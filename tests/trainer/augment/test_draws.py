"""What is drawn: the same for a picture wherever it lands, and with the distributions the sources give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.augment.distributions import chi_square, kolmogorov_smirnov
from trainer.augment.draws import (
    Angles,
    Crops,
    Flips,
    NoParams,
    Params,
    Sigmas,
    sample_order,
    sample_params,
    sample_partners,
    sample_shares,
)
from trainer.recipe.augmentation import Blur, Crop, Cutout, CutoutSquare, Flip, Mixup, Operation, Pad, PadCrop, Rotate

RANDOM: list[Operation] = [
    Rotate(),
    Rotate(p=0.3),
    Flip(),
    Crop(size=28),
    PadCrop(),
    Blur(),
    Cutout(),
    CutoutSquare(),
    CutoutSquare(p=0.5),
]
SEEDS = st.integers(0, 2**32 - 1)


def columns(drawn: Params) -> dict[str, np.ndarray]:
    return vars(drawn)


@pytest.mark.parametrize("operation", [*RANDOM, Pad()], ids=str)
@given(few=st.integers(1, 300), more=st.integers(300, 500), seed=SEEDS)
def test_a_pictures_draws_do_not_depend_on_how_many_follow(operation: Operation, few: int, more: int, seed: int):
    short, long = (columns(sample_params(operation, seed, 3, 1, n=n)) for n in (few, more))
    assert short.keys() == long.keys()
    for name in short:
        assert len(short[name]) == few
        np.testing.assert_array_equal(short[name], long[name][:few])


@pytest.mark.parametrize("operation", RANDOM, ids=str)
def test_seed_epoch_and_position_each_change_the_draws(operation: Operation):
    base = sample_params(operation, 1, 1, 0, n=500)
    for other in (
        sample_params(operation, 2, 1, 0, n=500),
        sample_params(operation, 1, 2, 0, n=500),
        sample_params(operation, 1, 1, 1, n=500),
    ):
        assert any(
            not np.array_equal(mine, theirs)
            for mine, theirs in zip(columns(base).values(), columns(other).values(), strict=True)
        )


def test_the_order_is_a_permutation_that_changes_with_the_epoch():
    first, second = sample_order(0, 1, 1000), sample_order(0, 2, 1000)
    assert sorted(first) == list(range(1000))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, sample_order(0, 1, 1000))


def test_half_of_the_pictures_are_flipped_and_none_or_all_where_p_says_so():
    drawn = sample_params(Flip(p=0.5), 0, 1, 0, n=40_000)
    assert isinstance(drawn, Flips)
    assert abs(drawn.flipped.mean() - 0.5) < 0.01
    never, always = (sample_params(Flip(p=p), 0, 1, 0, n=2000) for p in (0, 1))
    assert isinstance(never, Flips)
    assert isinstance(always, Flips)
    assert not never.flipped.any()
    assert always.flipped.all()


def test_angles_are_uniform_both_ways_and_zero_but_for_a_share_p():
    drawn = sample_params(Rotate(degrees=15, p=0.4), 0, 1, 0, n=50_000)
    assert isinstance(drawn, Angles)
    turned = drawn.degrees[drawn.degrees != 0]
    assert abs(len(turned) / 50_000 - 0.4) < 0.01
    assert np.abs(turned).max() <= 15
    chi_square(np.histogram(turned, bins=60, range=(-15, 15))[0])
    always = sample_params(Rotate(degrees=90, p=1), 0, 1, 0, n=1000)
    never = sample_params(Rotate(degrees=90, p=0), 0, 1, 0, n=1000)
    assert isinstance(always, Angles)
    assert isinstance(never, Angles)
    assert always.degrees.all()
    assert not never.degrees.any()


def test_sigmas_are_uniform_between_their_ends_and_zero_but_for_a_share_p():
    drawn = sample_params(Blur(p=0.5, sigma_l=0.2, sigma_h=0.7), 0, 1, 0, n=50_000)
    assert isinstance(drawn, Sigmas)
    blurred = drawn.sigma[drawn.sigma != 0]
    assert abs(len(blurred) / 50_000 - 0.5) < 0.01
    assert 0.2 <= blurred.min() <= blurred.max() <= 0.7
    chi_square(np.histogram(blurred, bins=50, range=(0.2, 0.7))[0])
    fixed = sample_params(Blur(p=1, sigma_l=0.3, sigma_h=0.3), 0, 1, 0, n=100)
    assert isinstance(fixed, Sigmas)
    assert set(fixed.sigma) == {0.3}


def test_nothing_is_drawn_for_a_padding():
    assert sample_params(Pad(), 0, 1, 0, n=10) == NoParams()


@pytest.mark.parametrize(
    ("operation", "side"), [(PadCrop(pad=4), 32), (Crop(size=32), 40), (Crop(size=24), 32)], ids=str
)
def test_all_81_offsets_of_8_spare_pixels_are_equally_likely(operation: Operation, side: int):
    drawn = sample_params(operation, 0, 1, 0, n=81_000, side=side)
    assert isinstance(drawn, Crops)
    counts = np.zeros((9, 9), dtype=np.int64)
    np.add.at(counts, (drawn.top, drawn.left), 1)
    chi_square(counts)


def test_a_crop_of_the_whole_picture_stays_in_its_corner():
    drawn = sample_params(Crop(size=32), 0, 1, 0, n=100)
    assert isinstance(drawn, Crops)
    assert not drawn.top.any()
    assert not drawn.left.any()


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 3.0])
def test_shares_are_distributed_as_beta(alpha: float):
    n = 20_000
    ours = sample_shares(Mixup(alpha=alpha), 0, 1, n)
    theirs = np.random.default_rng(1).beta(alpha, alpha, n)
    assert ours.shape == (n,)
    assert ((ours >= 0) & (ours <= 1)).all()
    kolmogorov_smirnov(ours, theirs)
    assert ours.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
@given(few=st.integers(1, 300), more=st.integers(300, 500), seed=SEEDS)
def test_a_pictures_share_does_not_depend_on_how_many_follow(alpha: float, few: int, more: int, seed: int):
    mixup = Mixup(alpha=alpha)
    np.testing.assert_array_equal(sample_shares(mixup, seed, 3, few), sample_shares(mixup, seed, 3, more)[:few])


def test_shares_change_with_seed_and_epoch():
    base = sample_shares(Mixup(), 1, 1, 100)
    assert not np.array_equal(base, sample_shares(Mixup(), 2, 1, 100))
    assert not np.array_equal(base, sample_shares(Mixup(), 1, 2, 100))


@given(seed=SEEDS, epoch=st.integers(1, 10_000), step=st.integers(0, 1000), size=st.integers(1, 600))
def test_partners_are_a_permutation_of_the_batch(seed: int, epoch: int, step: int, size: int):
    assert sorted(sample_partners(seed, epoch, step, size)) == list(range(size))


def test_partners_change_with_seed_epoch_and_step():
    base = sample_partners(1, 1, 0, 100)
    for other in (sample_partners(2, 1, 0, 100), sample_partners(1, 2, 0, 100), sample_partners(1, 1, 1, 100)):
        assert not np.array_equal(base, other)


def test_every_place_of_a_batch_is_the_partner_of_every_other_equally_often():
    counts = np.zeros((6, 6), dtype=np.int64)
    for step in range(6000):
        np.add.at(counts, (np.arange(6), sample_partners(0, 1, step, 6)), 1)
    assert (counts.sum(axis=0) == 6000).all()
    # Rows and columns are fixed, so 5/6 of the usual sum has 25 degrees of freedom: 99.9 % lie below 52.6.
    assert 5 / 6 * ((counts - 1000) ** 2 / 1000).sum() < 52.6


def test_flips_in_turn_are_by_chance_once_and_then_by_turns():
    first, second, third = (sample_params(Flip(alternate=True), 3, epoch, 1, n=1000) for epoch in (1, 2, 3))
    assert isinstance(first, Flips)
    assert isinstance(second, Flips)
    assert isinstance(third, Flips)
    assert 400 < first.flipped.sum() < 600
    np.testing.assert_array_equal(second.flipped, ~first.flipped)
    np.testing.assert_array_equal(third.flipped, first.flipped)
    plain = sample_params(Flip(), 3, 1, 1, n=1000)
    assert isinstance(plain, Flips)
    np.testing.assert_array_equal(plain.flipped, first.flipped)
