"""The whole way of a batch from stored bytes to the net's input: what is done, in which order, to which pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.trainer.augment import reference_images as plain
from trainer.augment.draws import Boxes, Crops, Flips, Params, sample_params
from trainer.augment.normalisation import to_uint8
from trainer.augment.pipeline import Pipeline, Stage
from trainer.augment.selections import Selection
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Crop, Cutout, CutoutSquare, Flip, Mixup, Operation, Pad, PadCrop

EVERY = Selection(np.arange(60))
PAIRS = Selection(np.arange(30), np.arange(59, 29, -1), np.random.default_rng(1).beta(0.5, 0.5, 30))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)


def on_bytes(picture: plain.Picture, operation: Operation, drawn: Params, i: int) -> plain.Picture:
    match operation:
        case Pad():
            return plain.padded(picture, operation.pad, operation.mode)
        case Flip():
            assert isinstance(drawn, Flips)
            return picture[:, ::-1] if drawn.flipped[i] else picture
        case Crop() | PadCrop():
            assert isinstance(drawn, Crops)
            size = operation.size if isinstance(operation, Crop) else len(picture)
            if isinstance(operation, PadCrop):
                picture = plain.padded(picture, operation.pad, operation.mode)
            return picture[drawn.top[i] : drawn.top[i] + size, drawn.left[i] : drawn.left[i] + size]
    raise AssertionError(f"{operation.op} is not exact")


def plainly(images: np.ndarray, operations: list[Operation], seed: int, epoch: int, i: int) -> plain.Picture:
    """Picture `i` in the range 0..1: bytes first, then floats, then rectangles. Sides are counted as we go."""
    picture: plain.Picture = images[i]
    n = len(images)
    for position, operation in enumerate(operations):
        if not isinstance(operation, Cutout | CutoutSquare):
            drawn = sample_params(operation, seed, epoch, position, n=n, side=len(picture))
            picture = on_bytes(picture, operation, drawn, i)
    picture = picture.astype(np.float32) / np.float32(255)
    for position, operation in enumerate(operations):
        if isinstance(operation, Cutout | CutoutSquare):
            drawn = sample_params(operation, seed, epoch, position, n=n)
            assert isinstance(drawn, Boxes)
            box = (drawn.top[i], drawn.left[i], drawn.height[i], drawn.width[i])
            picture = plain.erased(picture, operation, box, drawn.value[i], int(drawn.noise_seed[i]))
    return picture


LISTS: dict[str, list[Operation]] = {
    "nothing": [],
    "the original's": [PadCrop(), Flip(), Cutout()],
    "davidnet's": [Pad(), Crop(), Flip(), CutoutSquare()],
    "two crops": [Flip(), PadCrop(pad=3, mode="edge"), PadCrop(pad=16, mode="constant")],
    "smaller, then larger": [Crop(size=20), Flip(), PadCrop(pad=2), Pad(pad=6, mode="constant")],
    "rectangles named first": [Cutout(p=1, v_l=-1, v_h=2), PadCrop(), Cutout(p=1, pixel_level=False), Flip()],
}


@pytest.mark.parametrize("name", LISTS)
def test_pictures_come_out_as_the_draws_say(images: np.ndarray, name: str):
    ours = Pipeline(Recipe(augment=LISTS[name], seed=3), images).batch(2, EVERY)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, [plainly(images, LISTS[name], 3, 2, i) for i in range(60)])


def stages(recipe: Recipe, images: np.ndarray, selection: Selection) -> list[Stage]:
    return list(Pipeline(recipe, images).stages(2, selection))


def test_stages_are_named_in_the_order_done_and_erasers_come_after_normalisation(images: np.ndarray):
    operations: list[Operation] = [CutoutSquare(), Pad(), Cutout(), Flip(), Crop()]
    ways: dict[str, tuple[dict[str, Any], Selection, list[str]]] = {
        "plain": ({}, EVERY, ["stored", "pad", "flip", "crop", "normalise", "cutout_square", "cutout"]),
        "before": (
            {"mixup": Mixup(when="before")},
            PAIRS,
            ["stored", "mixup", "pad", "flip", "crop", "normalise", "cutout_square", "cutout"],
        ),
        "after": (
            {"mixup": Mixup(when="after")},
            PAIRS,
            ["stored", "pad", "flip", "crop", "normalise", "cutout_square", "cutout", "mixup"],
        ),
        "no partners": (
            {"mixup": Mixup(when="after")},
            EVERY,
            ["stored", "pad", "flip", "crop", "normalise", "cutout_square", "cutout"],
        ),
    }
    for extra, selection, names in ways.values():
        seen = stages(Recipe(augment=operations, **extra), images, selection)
        assert [stage.name for stage in seen] == names
        normal = names.index("normalise")
        for place, stage in enumerate(seen):
            assert stage.pictures.dtype == (np.uint8 if place < normal else np.float32)
            if stage.name in ("stored", "mixup", "normalise"):
                assert stage.position is None
            else:
                assert stage.position is not None
                assert operations[stage.position].op == stage.name


def test_without_operations_a_picture_is_only_normalised(images: np.ndarray):
    assert [stage.name for stage in stages(Recipe(augment=[]), images, EVERY)] == ["stored", "normalise"]


@pytest.mark.parametrize("mixup", [None, Mixup(when="before"), Mixup(when="after")], ids=str)
def test_the_last_stage_is_the_batch_bit_for_bit(images: np.ndarray, mixup: Mixup | None):
    recipe = Recipe(mixup=mixup)
    last = stages(recipe, images, PAIRS)[-1]
    np.testing.assert_array_equal(last.pictures, Pipeline(recipe, images).batch(2, PAIRS))


def test_pairs_mixed_before_are_whole_bytes_rounded_half_up(images: np.ndarray):
    recipe = Recipe(mixup=Mixup(when="before"), augment=[])
    assert PAIRS.partners is not None
    assert PAIRS.shares is not None
    mixed = stages(recipe, images, PAIRS)[1]
    assert mixed.pictures.dtype == np.uint8
    share = PAIRS.shares.astype(np.float32).astype(np.float64)[:, None, None, None]
    exact = share * images[PAIRS.pictures] + (1 - share) * images[PAIRS.partners]
    rounded = np.floor(exact + 0.5)
    is_near_half = np.abs(exact + 0.5 - np.rint(exact + 0.5)) < 1e-4  # where float32 may fall on either side
    np.testing.assert_array_equal(mixed.pictures[~is_near_half], rounded[~is_near_half])
    assert is_near_half.mean() < 0.01


def test_a_share_of_a_half_rounds_up_and_shares_of_0_and_1_keep_one_picture():
    images = np.stack([np.full((32, 32, 3), level, dtype=np.uint8) for level in (0, 255, 3)])
    recipe = Recipe(mixup=Mixup(when="before"), augment=[])
    selection = Selection(np.array([0, 0, 0, 1]), np.array([1, 1, 2, 1]), np.array([1, 0, 0.5, 0.3]))
    mixed = stages(recipe, images, selection)[1].pictures
    assert [set(picture.ravel().tolist()) for picture in mixed] == [{0}, {255}, {2}, {255}]


def test_pairs_mixed_before_are_changed_with_the_draws_of_the_first_of_the_two(images: np.ndarray):
    recipe = Recipe(mixup=Mixup(when="before"), seed=3)
    *_, last = seen = stages(recipe, images, PAIRS)
    pretended = images.copy()
    pretended[PAIRS.pictures] = seen[1].pictures
    np.testing.assert_array_equal(last.pictures, [plainly(pretended, recipe.augment, 3, 2, i) for i in PAIRS.pictures])


def test_pairs_mixed_after_are_two_finished_pictures_each_with_its_own_draws(images: np.ndarray):
    recipe = Recipe(mixup=Mixup(when="after"), seed=3)
    assert PAIRS.partners is not None
    assert PAIRS.shares is not None
    one, other = (
        np.stack([plainly(images, recipe.augment, 3, 2, i) for i in numbers])
        for numbers in (PAIRS.pictures, PAIRS.partners)
    )
    share = PAIRS.shares[:, None, None, None]
    ours = Pipeline(recipe, images).batch(2, PAIRS)
    np.testing.assert_allclose(ours, share * one + (1 - share) * other, rtol=0, atol=1e-6)


def test_pictures_changed_once_look_as_in_the_first_epoch_in_every_epoch(images: np.ndarray):
    each, once = (Pipeline(Recipe.model_validate({"augment_when": when}), images) for when in ("each_epoch", "once"))
    first = each.batch(1, EVERY)
    assert not np.array_equal(each.batch(2, EVERY), first)
    for epoch in (1, 2, 7):
        np.testing.assert_array_equal(once.batch(epoch, EVERY), first)


def test_the_stored_pictures_are_never_changed(images: np.ndarray):
    before = images.copy()
    images.flags.writeable = False
    for mixup in (None, Mixup(when="before"), Mixup(when="after")):
        recipe = Recipe(augment=[PadCrop(), Flip(p=1), Cutout(p=1), CutoutSquare()], mixup=mixup)
        pipeline = Pipeline(recipe, images)
        first = pipeline.batch(1, PAIRS)
        pipeline.evaluation(images)
        np.testing.assert_array_equal(images, before)
        np.testing.assert_array_equal(first, pipeline.batch(1, PAIRS))


def test_a_picture_looks_the_same_in_any_batch(images: np.ndarray):
    pipeline = Pipeline(Recipe(), images)
    together = pipeline.batch(1, EVERY)
    np.testing.assert_array_equal(pipeline.batch(1, Selection(np.array([41, 7]))), together[[41, 7]])
    np.testing.assert_array_equal(Pipeline(Recipe(), images[:10]).batch(1, Selection(np.arange(10))), together[:10])


def test_threads_get_the_same_bytes(images: np.ndarray):
    recipe = Recipe()
    alone = [Pipeline(recipe, images).batch(epoch, EVERY) for epoch in (1, 2, 3, 4)]
    shared = Pipeline(recipe, images)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            together = list(threads.map(lambda epoch: shared.batch(epoch, EVERY), (1, 2, 3, 4)))
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("kind", "top"), [("0..1", 1), ("0..127", 127), ("0..255", 255)])
def test_the_range_is_the_one_the_recipe_names(images: np.ndarray, kind: str, top: int):
    pipeline = Pipeline(Recipe.model_validate({"normalize": kind, "augment": []}), images)
    for result in (pipeline.evaluation(images), pipeline.batch(1, EVERY)):
        assert (result.min(), result.max()) == (0, pytest.approx(top))
        np.testing.assert_allclose(result, images / 255 * top, rtol=1e-6)


def test_standardised_pictures_have_mean_0_and_deviation_1_per_channel(images: np.ndarray):
    images = images.copy()
    images[..., 1] //= 3
    images[..., 2] = 9  # a channel that never changes must not become not-a-number
    result = Pipeline(Recipe(normalize="standardised"), images).evaluation(images)
    np.testing.assert_allclose(result.mean(dtype=np.float64, axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(dtype=np.float64, axis=(0, 1, 2)), [1, 1, 0], atol=1e-5)


@pytest.mark.parametrize("kind", ["0..1", "0..127", "0..255", "standardised"])
def test_bytes_shown_to_people_are_the_stored_ones_again(images: np.ndarray, kind: str):
    pipeline = Pipeline(Recipe.model_validate({"normalize": kind}), images)
    np.testing.assert_array_equal(to_uint8(pipeline.evaluation(images), pipeline.scale, pipeline.shift), images)
