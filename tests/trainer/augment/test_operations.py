"""Each operation at given draws, done by each hand, against the same picture by picture in NumPy, pixel by pixel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from tests.trainer.augment import reference_images as plain
from trainer.augment.batched import ArrayAugmenter, kernel_size
from trainer.augment.draws import Angles, Boxes, Crops, Flips, NoParams, Params, Sigmas, sample_params
from trainer.augment.host import ImgaugAugmenter
from trainer.augment.normalisation import compute_normalisation, normalise
from trainer.recipe.augmentation import Blur, Crop, Cutout, CutoutSquare, Flip, Operation, Pad, PadCrop, Rotate

Mode = Literal["reflect", "constant", "edge"]
MODES: list[Mode] = ["reflect", "constant", "edge"]


Changed = Callable[[np.ndarray, Operation, Params], np.ndarray]
NORMAL = (np.full(3, 255, np.float32), np.zeros(3, np.float32))


def by_program(pictures: np.ndarray, operation: Operation, drawn: Params) -> np.ndarray:
    """As the device's program does it, here without compiling it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework's own, at import
        from keras import ops
    columns = {name: ops.convert_to_tensor(column) for name, column in vars(drawn).items()}
    result = ArrayAugmenter(*NORMAL, ops).apply(ops.convert_to_tensor(pictures), operation, type(drawn)(**columns))
    return ops.convert_to_numpy(result)  # type: ignore[no-any-return]


HANDS: dict[str, Changed] = {
    "imgaug": ImgaugAugmenter(*NORMAL).apply,
    "arrays": ArrayAugmenter(*NORMAL).apply,
    "program": by_program,
}


@pytest.fixture(params=["imgaug", "arrays", pytest.param("program", marks=pytest.mark.keras)])
def changed(request: pytest.FixtureRequest) -> Changed:
    return HANDS[request.param]


@pytest.fixture
def images() -> np.ndarray:
    """Noise: the hardest pictures for anything that interpolates."""
    return np.random.default_rng(5).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", MODES)
def test_a_turned_picture_is_the_bilinear_warp_to_one_grey_level(changed: Changed, images: np.ndarray, mode: Mode):
    degrees = np.array([15, -15, 0.5, -7.25, 90, -90, 180, 45, -133.7, 30, 3, -60], dtype=np.float64)
    ours = changed(images, Rotate(degrees=180, mode=mode), Angles(degrees))
    assert ours.dtype == np.uint8
    for one, picture, angle in zip(ours, images, degrees, strict=True):
        assert np.abs(one - plain.rotated(picture, angle, mode)).max() <= 1


def test_a_positive_angle_turns_clockwise_on_the_screen(changed: Changed):
    picture = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    picture[:, 14:18, 24:30] = 255  # a bar on the right
    [turned] = changed(picture, Rotate(degrees=90), Angles(np.array([90.0])))
    rows, columns = np.nonzero(turned[..., 0] > 128)
    assert (rows.mean(), columns.mean()) == (26.5, 15.5)  # now at the bottom


def test_a_quarter_turn_about_the_middle_moves_whole_pixels(changed: Changed, images: np.ndarray):
    [ours] = changed(images[:1], Rotate(degrees=90), Angles(np.array([90.0])))
    assert np.abs(ours.astype(int) - np.rot90(images[0], -1)).max() <= 1


def test_a_blurred_picture_is_the_separable_gaussian_to_two_grey_levels(changed: Changed, images: np.ndarray):
    # 2.9 and 3.1 stand on both sides of a change of kernel size; 10 is the widest that a recipe may ask for
    sigma = np.array([0.1, 0.3, 0.5, 0.8, 1, 1.6, 2.2, 2.9, 3.1, 4.9, 5.1, 10])
    ours = changed(images, Blur(p=1, sigma_h=10), Sigmas(sigma))
    assert ours.dtype == np.uint8
    for one, picture, width in zip(ours, images, sigma, strict=True):
        assert np.abs(one - plain.blurred(picture, width)).max() <= 2


def test_what_is_neither_turned_nor_blurred_stays_bit_for_bit(changed: Changed, images: np.ndarray):
    some = np.where(np.arange(12) % 3 == 0, 1.0, 0.0)
    for operation, drawn in ((Rotate(), Angles(10 * some)), (Blur(), Sigmas(some))):
        ours = changed(images, operation, drawn)
        is_same = (ours == images).all(axis=(1, 2, 3))
        np.testing.assert_array_equal(is_same, some == 0)
        # a picture's own draw, whatever the others got
        for row in np.flatnonzero(some):
            alone = changed(images[[row]], operation, type(drawn)(*(column[[row]] for column in vars(drawn).values())))
            np.testing.assert_array_equal(ours[row], alone[0])
        np.testing.assert_array_equal(changed(images, operation, type(drawn)(np.zeros(12))), images)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pad", [1, 4, 16])
def test_a_padded_picture_is_numpys(changed: Changed, images: np.ndarray, mode: Mode, pad: int):
    ours = changed(images, Pad(pad=pad, mode=mode), NoParams())
    np.testing.assert_array_equal(ours, [plain.padded(picture, pad, mode) for picture in images])


def every_offset(room: int) -> Crops:
    top, left = (axis.ravel() for axis in np.mgrid[0 : room + 1, 0 : room + 1])
    return Crops(left=left, top=top)


@pytest.mark.parametrize("size", [32, 31, 24, 1])
def test_every_square_is_cut_out_exactly_where_it_was_drawn(changed: Changed, images: np.ndarray, size: int):
    crops = every_offset(32 - size)
    picture = images[0]
    ours = changed(np.repeat(picture[None], len(crops.top), axis=0), Crop(size=size), crops)
    assert ours.shape == (len(crops.top), size, size, 3)
    for one, y, x in zip(ours, crops.top, crops.left, strict=True):
        np.testing.assert_array_equal(one, picture[y : y + size, x : x + size])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pad", [1, 4, 16])
def test_every_offset_of_a_padded_crop_is_exact(changed: Changed, images: np.ndarray, mode: Mode, pad: int):
    crops = every_offset(2 * pad)
    wide = plain.padded(images[0], pad, mode)
    ours = changed(np.repeat(images[:1], len(crops.top), axis=0), PadCrop(pad=pad, mode=mode), crops)
    for one, y, x in zip(ours, crops.top, crops.left, strict=True):
        np.testing.assert_array_equal(one, wide[y : y + 32, x : x + 32])


def test_a_flip_mirrors_left_and_right_and_leaves_the_others(changed: Changed, images: np.ndarray):
    flipped = np.arange(12) % 2 == 0
    ours = changed(images, Flip(), Flips(flipped))
    for one, picture, is_flipped in zip(ours, images, flipped, strict=True):
        np.testing.assert_array_equal(one, picture[:, ::-1] if is_flipped else picture)


@pytest.mark.parametrize(
    "operation",
    [
        Cutout(p=0.7),
        Cutout(p=1, v_l=-2, v_h=3),
        Cutout(p=1, v_l=-2, v_h=3, pixel_level=False),
        CutoutSquare(size=8),
        CutoutSquare(size=32, value=-1.5),
        CutoutSquare(p=0.5, size=3, value=0.3),
    ],
    ids=str,
)
def test_erased_rectangles_are_exact_inside_and_untouched_outside(
    changed: Changed, images: np.ndarray, operation: Cutout | CutoutSquare
):
    pictures = images.astype(np.float32) / np.float32(255)
    drawn = sample_params(operation, 1, 2, 0, n=12)
    assert isinstance(drawn, Boxes)
    ours = changed(pictures, operation, drawn)
    assert ours.dtype == np.float32
    assert (ours != pictures).any()
    for i, (one, picture) in enumerate(zip(ours, pictures, strict=True)):
        box = (drawn.top[i], drawn.left[i], drawn.height[i], drawn.width[i])
        expected = plain.erased(picture, operation, box, drawn.value[i], int(drawn.noise_seed[i]))
        np.testing.assert_array_equal(one, expected)


def everything() -> list[tuple[Operation, Params]]:
    operations: list[Operation] = [
        Rotate(), Flip(p=1), Pad(), Crop(size=20), PadCrop(), Blur(p=1), Cutout(p=1), CutoutSquare(),
    ]  # fmt: skip
    return [(operation, sample_params(operation, 0, 1, 0, n=12)) for operation in operations]


@pytest.mark.parametrize(("operation", "drawn"), everything(), ids=[operation.op for operation, _ in everything()])
def test_no_operation_changes_the_pictures_that_it_is_given(
    changed: Changed, images: np.ndarray, operation: Operation, drawn: Any
):
    given = images.astype(np.float32) if isinstance(operation, Cutout | CutoutSquare) else images
    before = given.copy()
    ours = changed(given, operation, drawn)
    assert ours.shape != before.shape or (ours != before).any()
    np.testing.assert_array_equal(given, before)


def test_imgaug_and_arrays_make_the_same_pictures_of_the_same_draws(images: np.ndarray):
    """Whole bytes and rectangles bit for bit; what is interpolated to a level or two, and nowhere to one side."""
    many = np.tile(images, (20, 1, 1, 1))
    operations: list[Operation] = [
        Rotate(degrees=180), Rotate(mode="reflect"), Flip(), Pad(), Crop(size=24), PadCrop(), PadCrop(mode="constant"),
        Blur(p=1, sigma_h=3), Cutout(p=1, v_l=-1), Cutout(pixel_level=False), CutoutSquare(p=0.5),
    ]  # fmt: skip
    for operation in operations:
        drawn = sample_params(operation, 3, 1, 0, n=len(many))
        given = many.astype(np.float32) / 255 if isinstance(operation, Cutout | CutoutSquare) else many
        one, other = (HANDS[hand](given, operation, drawn).astype(np.float64) for hand in ("imgaug", "arrays"))
        if isinstance(operation, Rotate | Blur):
            assert np.abs(one - other).max() <= 2, operation
            assert abs((one - other).mean()) < 0.02, operation
            assert abs(one.std() - other.std()) < 0.1, operation
        else:
            np.testing.assert_array_equal(one, other)


def test_normalised_and_mixed_pictures_are_the_same_by_each_hand(images: np.ndarray):
    normal = compute_normalisation("standardised", images)
    share = np.linspace(0, 1, 12, dtype=np.float32)
    host, arrays = ImgaugAugmenter(*normal), ArrayAugmenter(*normal)
    for hand in (host, arrays):
        np.testing.assert_array_equal(hand.normalise(images), normalise(images, *normal))
    for mix in ("mix", "mix_bytes"):
        one, other = (getattr(hand, mix)(images, images[::-1], share) for hand in (host, arrays))
        np.testing.assert_array_equal(one, other)


def test_the_width_of_a_kernel_is_imgaugs():
    assert [kernel_size(sigma) for sigma in (0.1, 1, 2.9, 3.0, 3.1, 4.9, 5.1, 10)] == [
        plain.kernel_size(sigma) for sigma in (0.1, 1, 2.9, 3.0, 3.1, 4.9, 5.1, 10)
    ]
