"""The presets: complete, described correctly, and with the recipes that their descriptions claim."""

from __future__ import annotations

import json
import re
from pathlib import Path
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
    "seed-cutout-1", "seed-cutout-127", "seed-cutout-255", "seed-mixup", "seed-mixup-cutout", "seed-final",
]  # fmt: skip
STEPS = [f"seed-step-{epochs}" for epochs in range(2, 11)]
PAGE = ["page-2018", "page-tricks", "reliable-94", "airbench-like"]
LARGE = [*SEED, *TRIALS, *STEPS, *PAGE]


def count_images(name: str) -> int:
    if name == "quickstart":
        return 1497
    return PRESETS[name].recipe.dataset.train_limit or CIFAR10


def warnings(name: str) -> set[str]:
    return {warning.code for warning in check_recipe(PRESETS[name].recipe, count_images(name))}


def recipe_of(name: str) -> Recipe:
    return PRESETS[name].recipe


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A recipe as {path: value}, with list indices in the paths."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: knob for key, part in parts for name, knob in flat(part, f"{path}.{key}").items()}
    return {path.removeprefix("."): value}


def test_the_list_is_complete_and_each_small_preset_follows_its_full_one():
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
def test_a_description_has_a_few_sentences_and_the_first_fits_a_card(name: str):
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


def test_a_preset_keeps_its_hash_until_its_version_is_raised():
    """Groups, pins and links are by hash. Change hashes.json only together with the version of the same preset."""
    pinned = json.loads(Path(__file__).with_name("hashes.json").read_text())
    assert {name: [preset.version, recipe_hash(preset.recipe)] for name, preset in PRESETS.items()} == pinned


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_survives_being_written_and_read(name: str):
    recipe = recipe_of(name)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_the_readme_recipe_gets_all_warnings_that_apply():
    # none about the last batch: disjoint mixup drops an incomplete one
    assert warnings("seed-readme") == {"mixup_halves_steps", "ends_at_peak", "l2_is_twice_coupled"}
    assert "last_batch_statistics" in warnings("seed-cutout-1")  # the same without mixup


def test_the_fixed_recipe_is_what_the_check_proposes_and_ends_at_the_base_rate():
    proposed = next(one for one in check_recipe(recipe_of("seed-readme"), CIFAR10) if one.code == "ends_at_peak")
    fixed, original = (flat(recipe_of(name).model_dump()) for name in ("seed-readme-fixed", "seed-readme"))
    assert {path: fixed[path] for path in fixed if fixed[path] != original[path]} == flat(proposed.fix)
    assert warnings("seed-readme-fixed") == {"mixup_halves_steps", "l2_is_twice_coupled"}
    assert learning_rates(recipe_of("seed-readme-fixed"), CIFAR10)[-1] < 0.002


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("seed-crop-pad", "crop_before_pad"),
        ("seed-two-slopes", "ends_at_peak"),
        ("seed-sgd-scheduler", "rate_vanishes"),
        ("seed-exp-range", "ends_at_peak"),
        ("seed-mixup", "mixup_halves_steps"),
    ],
)
def test_a_trial_that_went_wrong_gets_the_warning_about_it(name: str, code: str):
    assert code in warnings(name)
    assert code in warnings(f"{name}-small")


def test_published_recipes_get_no_warnings():
    for name in ("page-2018", "page-tricks", "seed-notebook", "seed-base", "seed-base-once"):
        assert warnings(name) == warnings(f"{name}-small") == set()
    # the quickstart keeps the original experiment's l2 strength
    assert warnings("quickstart") == {"l2_is_twice_coupled"}
    # weight decay multiplied by the batch size suits a summed loss, as in the notebook
    assert warnings("seed-final") == {"mixup_halves_steps"}


def test_a_small_preset_gets_the_same_warnings_as_the_full_one():
    for name in LARGE:
        assert warnings(f"{name}-small") == warnings(name), name


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
def test_half_cycles_end_where_their_description_says(epochs: int):
    rates = learning_rates(recipe_of(f"seed-step-{epochs}"), CIFAR10).astype(float)
    undecayed = rates * (1 + 1e-5 * np.arange(len(rates)))
    height = (undecayed[-1] - 0.001) / 0.399
    card = PRESETS[f"seed-step-{epochs}"].card
    if "at a minimum" in card:
        assert height < 0.05
    elif "at a peak" in card:
        assert height > 0.95
    else:
        match = re.search(r"while the learning rate (rises|falls), at (\d+) % of", card)
        assert match is not None, card
        assert match[1] == ("rises" if rates[-1] > rates[-2] else "falls")
        assert 100 * height == pytest.approx(int(match[2]), abs=0.6)


@pytest.mark.parametrize("name", LARGE)
def test_a_small_preset_differs_from_the_full_one_in_the_stated_settings_only(name: str):
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
        # rates are per image; weight decay is scaled with the batch instead
        assert changed.keys() <= {"optimizer.weight_decay.value"}
    else:
        assert changed
        assert all(re.fullmatch(r"schedule\.(\w*lr|rise|fall|knots\.\d\.1)", path) for path in changed)
    assert [new / old for old, new in changed.values()] == pytest.approx([128 / large.batch_size] * len(changed))


def test_trials_add_to_the_operations_kept_before():
    operations = {name: [one.op for one in recipe_of(name).augment] for name in TRIALS}
    assert operations["seed-rotate"] == ["rotate"]
    assert operations["seed-rotate-flip"] == ["rotate", "flip"]
    assert operations["seed-crop-pad"] == ["rotate", "flip", "crop", "pad"]
    assert operations["seed-pad-crop"] == ["rotate", "flip", "pad_crop"]
    assert operations["seed-blur"] == operations["seed-mixup"] == ["rotate", "flip", "pad_crop", "blur"]
    assert operations["seed-cutout-1"] == operations["seed-cutout-255"] == [*operations["seed-blur"], "cutout"]
    assert operations["seed-cutout-127"] == [*operations["seed-blur"], "cutout", "cutout"]
    assert operations["seed-final"] == operations["seed-cutout-1"]
    assert [one.op for one in recipe_of("seed-readme").augment] == operations["seed-cutout-1"]
