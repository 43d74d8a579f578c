"""imgaug's output against the same operations in plain NumPy, pixel by pixel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trainer.augment.draws import Boxes, Crops, Flips, draw, noise
from trainer.augment.host import Pipeline, apply, normalisation
from trainer.augment.operations import Cutout, Flip, Operation, PadCrop
from trainer.recipe import Recipe

EVERY = np.arange(60)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)


def plainly(images: np.ndarray, operations: list[Operation], seed: int, epoch: int) -> np.ndarray:
    """A reference for the range 0..1: one picture after the other, no imgaug."""
    result = []
    for i, original in enumerate(images):
        picture = original
        for position, op in enumerate(operations):
            drawn = draw(op, seed, epoch, position, n=len(images))
            if isinstance(drawn, Crops) and isinstance(op, PadCrop):
                padded = np.pad(picture, ((op.pad, op.pad), (op.pad, op.pad), (0, 0)), mode=op.mode)
                picture = padded[drawn.top[i] : drawn.top[i] + 32, drawn.left[i] : drawn.left[i] + 32]
            if isinstance(drawn, Flips) and drawn.flipped[i]:
                picture = picture[:, ::-1]
        picture = picture.astype(np.float32) / np.float32(255)
        for position, op in enumerate(operations):
            drawn = draw(op, seed, epoch, position, n=len(images))
            if isinstance(drawn, Boxes) and isinstance(op, Cutout) and drawn.height[i]:
                rows = slice(drawn.top[i], drawn.top[i] + drawn.height[i])
                columns = slice(drawn.left[i], drawn.left[i] + drawn.width[i])
                if op.pixel_level:
                    grain = noise(drawn.noise_seed[i : i + 1], 32 * 32 * 3).reshape(32, 32, 3)
                    low, high = np.float32(op.v_l), np.float32(op.v_h)
                    picture[rows, columns] = low + (high - low) * grain[rows, columns]
                else:
                    picture[rows, columns] = np.float32(drawn.value[i])
        result.append(picture)
    return np.stack(result)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [PadCrop(), Flip(), Cutout()],
        [Flip(), PadCrop(pad=3, mode="edge"), PadCrop(pad=16, mode="constant")],
        [Cutout(p=1, v_l=-1, v_h=2), PadCrop(), Cutout(p=1, pixel_level=False)],
    ],
    ids=["nothing", "the original's", "two crops", "two rectangles"],
)
def test_pictures_come_out_as_the_draws_say(images: np.ndarray, operations: list[Operation]):
    recipe = Recipe(augment=operations, seed=3)
    ours = Pipeline(recipe, images).batch(2, EVERY)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, plainly(images, operations, seed=3, epoch=2))


@pytest.mark.parametrize("pad", [1, 4, 16])
def test_every_offset_is_cut_out_exactly_where_it_was_drawn(pad: int):
    picture = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3).astype(np.uint8)
    top, left = (axis.ravel() for axis in np.mgrid[0 : 2 * pad + 1, 0 : 2 * pad + 1])
    unit = normalisation("0..255", picture[None])
    images = np.repeat(picture[None], len(top), axis=0)
    ours = apply(images, [PadCrop(pad=pad)], [Crops(left=left, top=top)], *unit)
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    for row, (y, x) in enumerate(zip(top, left, strict=True)):
        np.testing.assert_array_equal(ours[row], padded[y : y + 32, x : x + 32])


def test_the_stored_pictures_are_never_changed(images: np.ndarray):
    before = images.copy()
    pipeline = Pipeline(Recipe(augment=[PadCrop(), Flip(p=1), Cutout(p=1)]), images)
    first = pipeline.batch(1, EVERY)
    pipeline.evaluation(images)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, pipeline.batch(1, EVERY))


def test_a_picture_looks_the_same_in_any_batch(images: np.ndarray):
    pipeline = Pipeline(Recipe(), images)
    together = pipeline.batch(1, EVERY)
    np.testing.assert_array_equal(pipeline.batch(1, np.array([41, 7])), together[[41, 7]])
    np.testing.assert_array_equal(Pipeline(Recipe(), images[:10]).batch(1, EVERY[:10]), together[:10])


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
    recipe = Recipe.model_validate({"normalize": kind, "augment": []})
    result = Pipeline(recipe, images).evaluation(images)
    assert (result.min(), result.max()) == (0, pytest.approx(top))
    np.testing.assert_allclose(result, images / 255 * top, rtol=1e-6)


def test_standardised_pictures_have_mean_0_and_deviation_1_per_channel(images: np.ndarray):
    images = images.copy()
    images[..., 1] //= 3
    images[..., 2] = 9  # a channel that never changes must not become not-a-number
    result = Pipeline(Recipe(normalize="standardised"), images).evaluation(images)
    np.testing.assert_allclose(result.mean(dtype=np.float64, axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(dtype=np.float64, axis=(0, 1, 2)), [1, 1, 0], atol=1e-5)
