"""Which pictures meet in which batch, and what their labels become."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.augment.draws import sample_order, sample_shares
from trainer.augment.selections import Selection, batch_labels, first_images, list_selections
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Mixup

PICTURES = st.integers(1, 400)
SIZES = st.integers(1, 70)
SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(1, 1000)


def recipe(pairing: str | None, batch_size: int, last_batch: str = "keep", seed: int = 0) -> Recipe:
    mixup = {"pairing": pairing} if pairing else None
    return Recipe.model_validate({"mixup": mixup, "batch_size": batch_size, "last_batch": last_batch, "seed": seed})


def partners_of(selection: Selection) -> np.ndarray:
    assert selection.partners is not None
    return selection.partners


@given(n=PICTURES, size=SIZES, last=st.sampled_from(["keep", "drop"]), seed=SEEDS, epoch=EPOCHS)
def test_without_mixup_an_epoch_is_its_order_cut_in_batches(n: int, size: int, last: str, seed: int, epoch: int):
    found = list_selections(recipe(None, size, last, seed), n, epoch)
    kept = n if last == "keep" else n // size * size
    seen = [selection.pictures for selection in found]
    np.testing.assert_array_equal(np.concatenate([*seen, np.zeros(0, int)]), sample_order(seed, epoch, n)[:kept])
    assert all(len(selection) == size for selection in found[:-1])
    assert all(selection.partners is None and selection.shares is None for selection in found)


@given(n=PICTURES, size=SIZES, last=st.sampled_from(["keep", "drop"]), seed=SEEDS, epoch=EPOCHS)
def test_disjoint_halves_never_share_a_picture_within_an_epoch(n: int, size: int, last: str, seed: int, epoch: int):
    found = list_selections(recipe("disjoint", size, last, seed), n, epoch)
    assert len(found) == n // (2 * size)
    everyone: list[int] = []
    for selection in found:
        assert len(selection.pictures) == len(partners_of(selection)) == size
        everyone += [*selection.pictures, *partners_of(selection)]
    assert len(set(everyone)) == len(everyone) == len(found) * 2 * size


def test_disjoint_halves_are_those_of_yu4us_double_batches():
    """`X1 = X[batch_ids[:batch_size]]`, `X2 = X[batch_ids[batch_size:]]`, the batch ids two batch sizes long."""
    indexes = sample_order(0, 3, 103)
    for step, selection in enumerate(list_selections(recipe("disjoint", 10), 103, 3)):
        batch_ids = indexes[step * 20 : (step + 1) * 20]
        np.testing.assert_array_equal(selection.pictures, batch_ids[:10])
        np.testing.assert_array_equal(partners_of(selection), batch_ids[10:])


@given(n=PICTURES, size=SIZES, last=st.sampled_from(["keep", "drop"]), seed=SEEDS, epoch=EPOCHS)
def test_permuted_pairs_stay_within_their_batch(n: int, size: int, last: str, seed: int, epoch: int):
    made = recipe("permute", size, last, seed)
    found = list_selections(made, n, epoch)
    plain = list_selections(recipe(None, size, last, seed), n, epoch)
    assert len(found) == len(plain)
    for selection, alone in zip(found, plain, strict=True):
        np.testing.assert_array_equal(selection.pictures, alone.pictures)
        assert sorted(partners_of(selection)) == sorted(selection.pictures)


def test_permuted_pairs_differ_from_batch_to_batch_and_from_epoch_to_epoch():
    places = []
    for epoch in (1, 2):
        for selection in list_selections(recipe("permute", 50), 100, epoch):
            where = {picture: place for place, picture in enumerate(selection.pictures)}
            places.append([where[partner] for partner in partners_of(selection)])
    assert all(one != other for one, other in pairwise(places))


@pytest.mark.parametrize("pairing", ["disjoint", "permute"])
def test_a_pictures_share_is_its_own_in_that_epoch(pairing: str):
    made = recipe(pairing, 10)
    for epoch in (1, 2):
        drawn = sample_shares(Mixup(), 0, epoch, 100)
        for selection in list_selections(made, 100, epoch):
            np.testing.assert_array_equal(selection.shares, drawn[selection.pictures])


@pytest.mark.parametrize("pairing", [None, "disjoint", "permute"])
@pytest.mark.parametrize("count", [1, 10, 27, 1000])
def test_the_first_places_of_an_epoch_are_those_of_its_batches(pairing: str | None, count: int):
    made = recipe(pairing, 10)
    taken = first_images(made, 95, 2, count)
    batches = list_selections(made, 95, 2)
    together = np.concatenate([one.pictures for one in batches])[:count]
    np.testing.assert_array_equal(taken.pictures, together)
    if pairing:
        np.testing.assert_array_equal(partners_of(taken), np.concatenate([partners_of(one) for one in batches])[:count])
        np.testing.assert_array_equal(taken.shares, sample_shares(Mixup(), 0, 2, 95)[together])
    else:
        assert taken.partners is None


LABELS = np.array([3, 0, 3, 1], dtype=np.int64)


def test_without_mixup_labels_are_class_numbers():
    hard = batch_labels(Selection(np.array([3, 0, 0])), LABELS, 5)
    assert hard.dtype == np.int64
    assert hard.tolist() == [1, 3, 3]


def test_with_mixup_each_class_gets_the_share_of_its_picture():
    selection = Selection(np.array([0, 1, 0, 3]), np.array([1, 3, 2, 3]), np.array([0.25, 1.0, 0.7, 0.5]))
    soft = batch_labels(selection, LABELS, 5)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(
        soft.astype(np.float64),
        [
            [0.75, 0.0, 0.0, 0.25, 0.0],  # a quarter of picture 0 (class 3), the rest of picture 1 (class 0)
            [1.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0, 0.0],  # two pictures of one class
            [0.0, 1.0, 0.0, 0.0, 0.0],  # a picture with itself
        ],
        atol=1e-7,
    )


@given(data=st.data(), n=st.integers(1, 60), classes=st.integers(2, 12))
def test_mixed_labels_sum_to_1_and_are_never_below_0(data: Any, n: int, classes: int):
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)), dtype=np.int64)
    share = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    numbers = np.arange(n)
    soft = batch_labels(Selection(numbers, numbers[::-1], share), labels, classes)
    assert soft.shape == (n, classes)
    assert (soft >= 0).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    for i in numbers:
        expected = share[i] * (labels[i] == np.arange(classes)) + (1 - share[i]) * (
            labels[::-1][i] == np.arange(classes)
        )
        np.testing.assert_allclose(soft[i], expected, atol=1e-6)
