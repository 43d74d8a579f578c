"""The presets of the original experiment against its document and the figures in it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.augment.draws import Boxes
from trainer.augment.normalisation import Images
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import list_selections
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Rotate
from trainer.recipe.learning_rates import learning_rates
from trainer.recipe.optimizer import SGD

ENGINES = ["imgaug", "device"]
ROTATING = [
    "seed-readme", "seed-readme-fixed", "seed-rotate", "seed-rotate-flip", "seed-crop-pad", "seed-pad-crop",
    "seed-blur", "seed-cutout-1", "seed-cutout-127", "seed-cutout-255", "seed-mixup", "seed-final",
]  # fmt: skip


def flat(level: int, count: int = 512) -> Images:
    return np.full((count, 32, 32, 3), level, dtype=np.uint8)


def batch(recipe: Recipe, images: Images) -> tuple[NDArray[np.float32], NDArray[np.int64], Pipeline]:
    """The first batch of epoch 1, the numbers of its images, and what made it."""
    pipeline = Pipeline(recipe, images)
    selection = list_selections(recipe, len(images), 1)[0]
    return pipeline.batch(1, selection), selection.pictures, pipeline


def masks(boxes: Boxes, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a cutout erased the images of a batch: (b, 32, 32)."""
    place = np.arange(32)

    def within(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.bool_]:
        first, length = first[numbers][:, None], length[numbers][:, None]
        return (place >= first) & (place < first + length)

    return within(boxes.top, boxes.height)[:, :, None] & within(boxes.left, boxes.width)[:, None, :]


def of_preset(name: str, engine: str) -> Recipe:
    return PRESETS[name].recipe.model_copy(update={"augment_engine": engine})


def test_the_sgd_scheduler_preset_is_the_curve_of_the_document_s_figure():
    """Read from its pixels: one is 16 steps wide and 0.0005 high. Its 391 steps an epoch are batches of 128."""
    recipe = PRESETS["seed-sgd-scheduler"].recipe.model_copy(
        update={"batch_size": 128, "epochs": 13, "optimizer": SGD(decay=0)}
    )
    rates = learning_rates(recipe, 50_000)[:4900]
    assert rates[0] == np.float32(0.1)
    assert rates[[210, 290, 355]] == pytest.approx([0.0952, 0.0914, 0.0874], abs=0.0012)
    assert rates[390] == pytest.approx(0.0854, abs=0.0005)
    assert rates[391] == pytest.approx(0.0090, abs=0.0001)
    assert rates[781] == pytest.approx(0.0078, abs=0.0003)
    assert rates[782] == pytest.approx(0.0008, abs=0.0002)
    assert (rates[1173:] < 0.0001).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_cutout_127_erases_images_of_0_to_255_twice_as_in_the_second_figure(engine: str):
    """The figure's pixels: up to 252 in the image; noise up to 126, 62 on average, and up to 250, 131 on average."""
    seen, numbers, pipeline = batch(of_preset("seed-cutout-127", engine), flat(252))
    params = pipeline.epoch_params(1)
    first, second = (masks(one, numbers) for one in params.values() if isinstance(one, Boxes))

    assert set(seen[~first & ~second].ravel()) == {252.0}  # rotation, crop and blur leave a flat image as it is
    bright, dark = seen[first & ~second], seen[second]
    assert 250 < bright.max() <= 255 and bright.min() >= 0
    assert bright.mean() == pytest.approx(127.5, abs=1)
    assert 126 < dark.max() <= 127 and dark.min() >= 0
    assert dark.mean() == pytest.approx(63.5, abs=0.5)
    assert (dark.mean(), bright.mean()) == (pytest.approx(62, abs=3), pytest.approx(131, abs=5))  # of single rectangles

    drawn = [mask.any(axis=(1, 2)) for mask in (first, second)]
    assert [one.mean() for one in drawn] == pytest.approx([0.5, 0.5], abs=0.07)
    assert (drawn[0] & drawn[1]).mean() == pytest.approx(0.25, abs=0.06), "each of the two is drawn by itself"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "top"), [("seed-cutout-1", 1), ("seed-cutout-255", 255)])
def test_the_other_cutouts_erase_once_with_noise_of_the_whole_input_range(name: str, top: float, engine: str):
    seen, numbers, pipeline = batch(of_preset(name, engine), flat(252))
    [boxes] = [one for one in pipeline.epoch_params(1).values() if isinstance(one, Boxes)]
    noise, rest = seen[masks(boxes, numbers)], seen[~masks(boxes, numbers)]

    np.testing.assert_allclose(rest, 252 / 255 * top, rtol=1e-6)
    assert 0 <= noise.min() < 0.001 * top and 0.999 * top < noise.max() <= top
    assert noise.mean() == pytest.approx(top / 2, rel=0.01)


def test_cutout_255_has_the_printed_defaults():
    """get_random_eraser(p=0.5, s_l=0.02, s_h=0.4, r_1=0.3, r_2=1/0.3, v_l=0, v_h=255, pixel_level=True)"""
    recipe = PRESETS["seed-cutout-255"].recipe
    assert recipe.augment[-1].model_dump() == {
        "op": "cutout", "p": 0.5, "s_l": 0.02, "s_h": 0.4, "r_1": 0.3, "r_2": 1 / 0.3, "v_l": 0, "v_h": 255,
        "pixel_level": True,
    }  # fmt: skip
    assert recipe.normalize == "0..255"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ROTATING)
def test_no_rotated_image_has_black_corners(name: str, engine: str):
    recipe = of_preset(name, engine)
    assert [one.mode for one in recipe.augment if isinstance(one, Rotate)] == ["edge"]
    only_rotated = recipe.model_copy(update={"augment": recipe.augment[:1], "mixup": None, "normalize": "0..255"})
    assert batch(only_rotated, flat(200, 64))[0].min() == 200


def test_no_other_preset_rotates():
    rotating = {name for name, one in PRESETS.items() if any(isinstance(step, Rotate) for step in one.recipe.augment)}
    assert rotating == {variant for name in ROTATING for variant in (name, f"{name}-small")}


def test_the_page_of_presets_names_each_of_the_original_experiment_and_no_other():
    page = (Path(__file__).parents[3] / "docs" / "presets.md").read_text()
    original = {name for name, one in PRESETS.items() if one.family in {"seed", "trial", "step"}}
    named = set(re.findall(r"`(seed-[\w-]+)`", page))
    assert named <= original
    assert {name for name in original - named if not name.endswith("-small")} == {
        f"seed-step-{n}" for n in (3, 5, 6, 7, 8, 9)
    }


def test_a_small_preset_s_sentence_is_whole():
    assert "unchanged learning rates, which are per image, and a target" in PRESETS["seed-notebook-small"].description
    assert "with learning rates divided by 4 and a target" in PRESETS["seed-blur-small"].description


def test_the_pair_that_augments_once_is_named_where_its_times_are():
    notebook, base, once = (PRESETS[name] for name in ("seed-notebook", "seed-base", "seed-base-once"))
    assert once.recipe == notebook.recipe.model_copy(update={"augment_when": "once"})
    assert base.recipe == notebook.recipe.model_copy(update={"augment": []})
    assert "384 s" in notebook.description and "seed-base-once" in notebook.description
    assert "384 s" in once.description and "364 s" in once.description and "seed-notebook" in once.description
    assert "any advanced augmentation" in base.description
    assert "384" not in base.card
