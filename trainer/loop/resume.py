"""Checks that a run may resume from a checkpoint: only the same recipe on the same images gives the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.failures import DatasetChanged, RecipeMistake
from trainer.loop.checkpoint_file import Metadata
from trainer.recipe import Recipe

IGNORED_SETTINGS = {"target_accuracy"}  # only compared with the result
MAX_NAMED = 3  # settings that an error names


def refuse_another_recipe(recipe: Recipe, metadata: Metadata, folder: Path | None) -> None:
    """Raises RecipeMistake if the checkpoint in `folder` was made with another recipe."""
    try:
        then = Recipe.model_validate(metadata.recipe)  # settings newer than the checkpoint get their defaults
    except ValidationError:
        differing = ["it has settings that this version does not know"]
    else:
        old, new = _flatten(then.model_dump(mode="json")), _flatten(recipe.model_dump(mode="json"))
        differing = [
            f"{path} is {new.get(path, 'absent')} here and {old.get(path, 'absent')} there"
            for path in sorted(old.keys() | new.keys())
            if old.get(path, ...) != new.get(path, ...) and path not in IGNORED_SETTINGS
        ]
    if differing:
        more = f", and {len(differing) - MAX_NAMED} more" if len(differing) > MAX_NAMED else ""
        text = f"recipe: {folder} holds a checkpoint of another recipe: {'; '.join(differing[:MAX_NAMED])}{more}"
        raise RecipeMistake(text, "Choose another folder, or delete it to start again.")


def refuse_other_images(fingerprint: str, metadata: Metadata) -> None:
    """Raises DatasetChanged if the data set is not the one that the run began with."""
    if fingerprint != metadata.dataset_fingerprint:
        text = f"the images are not those that the run began with (fingerprint {fingerprint[:12]}, "
        text += f"was {metadata.dataset_fingerprint[:12]})"
        raise DatasetChanged(text, "Restore the original images, or retry from scratch.")


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Each setting by its path, such as `augment.2.p`; an empty list or object is a value of its own."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        parts = [_flatten(inner, f"{path}.{key}" if path else str(key)) for key, inner in pairs]
        return {name: inner for part in parts for name, inner in part.items()}
    return {path: value}
