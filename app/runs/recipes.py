"""Complete and check recipes: a preset and a partial recipe give a complete one, or the list of mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import InvalidRecipe
from trainer.data import datasets
from trainer.failures import CannotTrain
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knobs import list_errors, merge


@dataclass(frozen=True)
class Resolved:
    """A complete recipe and the preset it is based on, if any."""

    recipe: Recipe
    preset: str | None
    preset_version: int | None


def resolve(preset: str | None, partial: dict[str, Any], datasets_dir: Path, *, strict: bool) -> Resolved:
    """Merge `partial` over the preset (or the defaults) and check every setting.

    `strict`: JSON types must match exactly ("3" is not 3); forms, whose values are text, are not strict.
    Raises InvalidRecipe with one (path, sentence) for each mistake.
    """
    if preset is not None and preset not in PRESETS:
        raise InvalidRecipe([("preset", f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")])
    base = (PRESETS[preset].recipe if preset else Recipe()).model_dump(mode="json")
    version = PRESETS[preset].version if preset else None
    return resolve_over(base, preset, version, partial, datasets_dir, strict=strict)


def resolve_over(
    base: dict[str, Any],
    preset: str | None,
    version: int | None,
    partial: dict[str, Any],
    datasets_dir: Path,
    *,
    strict: bool = True,
) -> Resolved:
    """Like `resolve`, over a complete recipe such as that of an earlier run."""
    try:
        recipe = Recipe.model_validate(merge(base, partial), strict=strict)
    except ValidationError as error:
        raise InvalidRecipe(list_errors(error)) from None
    _check_data(recipe, datasets_dir)
    return Resolved(recipe, preset, version)


def count_training_images(recipe: Recipe, datasets_dir: Path) -> int | None:
    """Number of images a run would train on; None if only reading the data set would tell."""
    try:
        images = datasets.find_dataset(recipe.dataset.name, datasets_dir).train_images
        return None if images is None else datasets.count_training_images(recipe.dataset, images)
    except CannotTrain:
        return None


def _check_data(recipe: Recipe, datasets_dir: Path) -> None:
    """Refuse at launch, not when a GPU is free: a missing data set, or more images held out than there are."""
    name = recipe.dataset.name
    try:
        info = datasets.find_dataset(name, datasets_dir)
    except datasets.DatasetMissing as error:
        raise InvalidRecipe([("dataset.name", f"{error}. {error.hint}".strip())]) from None
    held_out = recipe.dataset.val_from_train
    if held_out is not None and info.train_images is not None and held_out >= info.train_images:
        raise InvalidRecipe(
            [("dataset.val_from_train", f"{name} has {info.train_images} training images: hold out fewer")]
        )


MISSING = object()  # the recipe does not have this setting
UNHASHED_KEYS = {"seed", "target_accuracy"}  # not part of `recipe_hash`


def flatten(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """A nested recipe as (path, value), in its own order. An empty list becomes "none", null a dash."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in flatten(inner, f"{path}.{key}".strip("."))]
    if isinstance(value, list):
        return [row for index, inner in enumerate(value) for row in flatten(inner, f"{path}.{index}")] or [
            (path, "none")
        ]
    return [(path, "–" if value is None else value)]


def complete(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe, or some of its keys, with the settings that its parts have been given since."""
    known = Recipe.model_validate(stored).model_dump(mode="json")
    return {key: known[key] for key in stored}


def differing_settings(
    recipes: Sequence[Mapping[str, Any]], without: Iterable[str] = UNHASHED_KEYS
) -> list[tuple[str, list[Any]]]:
    """(path, value in each recipe) of the settings that differ; MISSING where a recipe does not have the setting."""
    rows = [dict(flatten(complete(recipe))) for recipe in recipes]
    paths = {path: None for row in rows for path in row if path not in set(without)}
    found = [(path, [row.get(path, MISSING) for row in rows]) for path in paths]
    return [(path, values) for path, values in found if any(value != values[0] for value in values)]
