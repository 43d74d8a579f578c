"""The presets: which there are, what they say of themselves, and that they are what they claim to be."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from trainer.presets.presets import FAMILIES, PRESETS
from trainer.recipe import Recipe, recipe_hash
from trainer.recipe.check import check_recipe
from trainer.recipe.learning_rates import learning_rates

CIFAR10 = 50_000  # training pictures

SEED = ["seed-readme", "seed-readme-fixed", "seed-notebook", "seed-base", "seed-base-once"]
TRIALS = [
    "seed-triangular2", "seed-exp-range", "seed-custom-sine", "seed-two-slopes", "seed-sgd-scheduler",
    "seed-identity", "seed-rotate", "seed-rotate-flip", "seed-crop-pad", "seed-pad-crop", "seed-blur",
    "seed-cutout-1", "seed-cutout-127", "seed-mixup", "seed-mixup-cutout", "seed-final",
]  # fmt: skip
STEPS = [f"seed-step-{epochs}" for epochs in range(2, 11)]
PAGE = ["page-2018", "page-tricks", "reliable-94", "airbench-like"]
LARGE = [*SEED, *TRIALS, *STEPS, *PAGE]


def images_of(name: str) -> int:
    if name == "quickstart":
        return 1497
    return PRESETS[name].recipe.dataset.train_limit or CIFAR10


def warned(name: str) -> set[str]:
    return {warning.code for warning in check_recipe(PRESETS[name].recipe, images_of(name))}


def recipe_of(name: str) -> Recipe:
    return PRESETS[name].recipe


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A recipe as {path: knob}, numbers of lists among the paths."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: knob for key, part in parts for name, knob in flat(part, f"{path}.{key}").items()}
    return {path.removeprefix("."): value}


def test_the_list_is_complete_and_each_small_one_follows_its_large_one():
    assert list(PRESETS) == ["quickstart", *(one for name in LARGE for one in (name, f"{name}-small"))]
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.small_of == (name.removesuffix("-small") if name.endswith("-small") else None)


def test_each_belongs_to_a_family_and_no_family_is_empty():
    expected = {"start": ["quickstart"], "seed": SEED, "trial": TRIALS, "step": STEPS, "page": PAGE}
    assert list(FAMILIES) == list(expected)
    for family, names in expected.items():
        members = [preset for preset in PRESETS.values() if preset.family == family]
        assert [preset.name for preset in members if preset.small_of is None] == names
        assert [preset.small_of for preset in members if preset.small_of] == (names if family != "start" else [])


@pytest.mark.parametrize("name", PRESETS)
def test_a_paragraph_of_a_few_sentences_begins_with_one_that_fits_a_card(name: str):
    preset = PRESETS[name]
    sentences = re.split(r"(?<=\.) ", preset.description)
    assert 2 <= len(sentences) <= 5
    assert preset.card == sentences[0]
    assert len(preset.card) <= 110
    assert all(sentence[-1] == "." and "  " not in sentence for sentence in sentences)
    assert 0 < len(preset.title) <= 45


def test_no_two_have_the_same_title_card_or_recipe():
    for what in (
        [preset.title for preset in PRESETS.values()],
        [preset.card for preset in PRESETS.values()],
        [recipe_hash(preset.recipe) for preset in PRESETS.values()],
    ):
        assert len(set(what)) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_survives_being_written_and_read(name: str):
    recipe = recipe_of(name)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_the_document_s_recipe_is_warned_of_all_that_it_hides():
    # nothing of the last batch: its mixup leaves an incomplete one out
    assert warned("seed-readme") == {"mixup_halves_steps", "ends_at_peak", "l2_is_twice_coupled"}
    assert "last_batch_statistics" in warned("seed-cutout-1")  # the same without mixup


def test_the_mended_one_is_what_the_check_proposes_and_ends_at_the_foot():
    proposed = next(one for one in check_recipe(recipe_of("seed-readme"), CIFAR10) if one.code == "ends_at_peak")
    mended, given = (flat(recipe_of(name).model_dump()) for name in ("seed-readme-fixed", "seed-readme"))
    assert {path: mended[path] for path in mended if mended[path] != given[path]} == flat(proposed.fix)
    assert warned("seed-readme-fixed") == {"mixup_halves_steps", "l2_is_twice_coupled"}
    assert learning_rates(recipe_of("seed-readme-fixed"), CIFAR10)[-1] < 0.002


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("seed-crop-pad", "crop_before_pad"),
        ("seed-two-slopes", "ends_at_peak"),
        ("seed-sgd-scheduler", "ends_at_peak"),
        ("seed-exp-range", "ends_at_peak"),
        ("seed-mixup", "mixup_halves_steps"),
    ],
)
def test_a_trial_is_warned_of_what_went_wrong_in_it(name: str, code: str):
    assert code in warned(name)
    assert code in warned(f"{name}-small")


def test_what_others_published_is_warned_of_nothing():
    for name in ("page-2018", "page-tricks", "seed-notebook", "seed-base", "seed-base-once"):
        assert warned(name) == warned(f"{name}-small") == set()
    # the quickstart keeps the experiment's l2, as strong as it was
    assert warned("quickstart") == {"l2_is_twice_coupled"}
    # decay for a sum, multiplied by the batch size as in the notebook, is no mistake
    assert warned("seed-final") == {"mixup_halves_steps"}


def test_a_small_one_is_warned_of_what_its_large_one_is():
    for name in LARGE:
        assert warned(f"{name}-small") == warned(name), name


def test_the_notebook_s_rates_are_its_own_formula_at_every_step():
    step = np.arange(20 * 98)
    expected = np.interp(step / 98, [0, (20 + 1) // 4, 20], [0, 0.4, 0]) / 512
    np.testing.assert_array_equal(learning_rates(recipe_of("seed-notebook"), CIFAR10), expected.astype(np.float32))


def test_page_s_rates_are_his_own_formula_at_every_step():
    """dawn.py: `lr_schedule(x) for x in np.arange(0, epochs, 1/len(train_batches))`, the division by 512 apart."""
    moments = np.arange(0, 24, 1 / 97)[: 24 * 97]
    expected = np.interp(moments, [0, 5, 24], [0, 0.4, 0])
    found = learning_rates(recipe_of("page-2018"), CIFAR10)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_page_s_tricks_hold_a_tenth_of_the_peak_for_the_last_two_epochs():
    rates = learning_rates(recipe_of("page-tricks"), CIFAR10)
    assert len(rates) == 13 * 97
    assert rates.max() == pytest.approx(1.0, abs=0.005)
    assert set(rates[11 * 97 :]) == {np.float32(0.1)}


@pytest.mark.parametrize("epochs", range(2, 11))
def test_half_cycles_end_where_their_paragraph_says(epochs: int):
    rates = learning_rates(recipe_of(f"seed-step-{epochs}"), CIFAR10).astype(float)
    undecayed = rates * (1 + 1e-5 * np.arange(len(rates)))
    height = (undecayed[-1] - 0.001) / 0.399
    card = PRESETS[f"seed-step-{epochs}"].card
    if "at a foot" in card:
        assert height < 0.05
    elif "at a peak" in card:
        assert height > 0.95
    else:
        said = re.search(r"on the way (up|down), at (\d+) % of", card)
        assert said is not None, card
        assert said[1] == ("up" if rates[-1] > rates[-2] else "down")
        assert 100 * height == pytest.approx(int(said[2]), abs=0.6)


@pytest.mark.parametrize("name", LARGE)
def test_a_small_one_differs_from_its_large_one_in_the_stated_knobs_only(name: str):
    large, little = recipe_of(name), recipe_of(f"{name}-small")
    before, after = (flat(recipe.model_dump()) for recipe in (large, little))
    assert before.keys() == after.keys()
    changed = {path: (before[path], after[path]) for path in before if before[path] != after[path]}
    assert changed.pop("dataset.train_limit") == (None, 4000)
    assert changed.pop("dataset.val_limit") == (None, 1000)
    assert changed.pop("model.width") == (64, 16)
    assert changed.pop("batch_size") == (1024 if name == "airbench-like" else 512, 128)
    assert changed.pop("target_accuracy") == (0.94, 0.5)
    if large.loss.reduction == "sum":
        # rates are per picture; decay stands beside a sum, so it goes with the batch
        assert changed.keys() <= {"optimizer.weight_decay.value"}
    else:
        assert changed
        assert all(re.fullmatch(r"schedule\.(\w*lr|rise|fall|knots\.\d\.1)", path) for path in changed)
    assert [new / old for old, new in changed.values()] == pytest.approx([128 / large.batch_size] * len(changed))


def test_the_trials_add_to_what_was_kept_before():
    operations = {name: [one.op for one in recipe_of(name).augment] for name in TRIALS}
    assert operations["seed-rotate"] == ["rotate"]
    assert operations["seed-rotate-flip"] == ["rotate", "flip"]
    assert operations["seed-crop-pad"] == ["rotate", "flip", "crop", "pad"]
    assert operations["seed-pad-crop"] == ["rotate", "flip", "pad_crop"]
    assert operations["seed-blur"] == operations["seed-mixup"] == ["rotate", "flip", "pad_crop", "blur"]
    assert operations["seed-cutout-1"] == operations["seed-cutout-127"] == [*operations["seed-blur"], "cutout"]
    assert operations["seed-final"] == operations["seed-cutout-1"]
    assert [one.op for one in recipe_of("seed-readme").augment] == operations["seed-cutout-1"]
