"""From what somebody asks for (a preset, a partial recipe) to a complete recipe, or to named mistakes.

Must not know the database or HTTP. Reads only the trainer's light modules.
"""

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
    """A complete recipe and the preset that it started from, if any."""

    recipe: Recipe
    preset: str | None
    preset_version: int | None


def resolve(preset: str | None, partial: dict[str, Any], datasets_dir: Path, *, strict: bool) -> Resolved:
    """Merge `partial` over the preset (or over the defaults) and check every knob.

    `strict`: JSON types must fit exactly ("3" is not 3); a form's text is read leniently.
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
    """The same over a complete recipe, such as an earlier run's."""
    try:
        recipe = Recipe.model_validate(merge(base, partial), strict=strict)
    except ValidationError as error:
        raise InvalidRecipe(list_errors(error)) from None
    _check_data(recipe, datasets_dir)
    return Resolved(recipe, preset, version)


def count_training_images(recipe: Recipe, datasets_dir: Path) -> int | None:
    """How many pictures a run would train on, as far as is known without reading any; None: not known."""
    try:
        images = datasets.find(recipe.dataset.name, datasets_dir).train_images
        return None if images is None else datasets.training_rows(recipe.dataset, images)
    except CannotTrain:
        return None


def _check_data(recipe: Recipe, datasets_dir: Path) -> None:
    """A folder that is not there, or fewer pictures than are held out, is known before a run waits for a GPU."""
    name = recipe.dataset.name
    try:
        info = datasets.find(name, datasets_dir)
    except datasets.DatasetMissing as error:
        raise InvalidRecipe([("dataset.name", f"{error}. {error.hint}".strip())]) from None
    held_out = recipe.dataset.val_from_train
    if held_out is not None and info.train_images is not None and held_out >= info.train_images:
        raise InvalidRecipe(
            [("dataset.val_from_train", f"{name} has {info.train_images} training pictures: hold out fewer")]
        )


MISSING = object()  # this recipe has no such knob


UNHASHED_KEYS = {"seed", "target_accuracy"}  # change no result of a recipe, or are what repeats differ in


def flatten(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """A nested recipe as (path, value), in its own order. An empty list is one row, "none"; null a dash."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in flatten(inner, f"{path}.{key}".strip("."))]
    if isinstance(value, list):
        return [row for index, inner in enumerate(value) for row in flatten(inner, f"{path}.{index}")] or [
            (path, "none")
        ]
    return [(path, "–" if value is None else value)]


def differing_settings(
    recipes: Sequence[Mapping[str, Any]], without: Iterable[str] = UNHASHED_KEYS
) -> list[tuple[str, list[Any]]]:
    """(path, value in each recipe) of the knobs that are not the same in all; NOT_THERE where one has no such knob."""
    rows = [dict(flatten(recipe)) for recipe in recipes]
    paths = {path: None for row in rows for path in row if path not in set(without)}
    found = [(path, [row.get(path, MISSING) for row in rows]) for path in paths]
    return [(path, values) for path, values in found if any(value != values[0] for value in values)]
