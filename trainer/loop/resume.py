"""Whether a run may go on from a checkpoint: only the same recipe on the same pictures makes the same result.

Must not know files' formats, the engine or any ML framework.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.failures import DatasetChanged, RecipeMistake
from trainer.loop.checkpoint_file import Metadata
from trainer.recipe import Recipe

IGNORED_SETTINGS = {"target_accuracy"}  # is only compared with what comes out
MAX_NAMED = 3  # knobs that a refusal names


def refuse_another_recipe(recipe: Recipe, metadata: Metadata, folder: Path | None) -> None:
    """Raises RecipeMistake where the checkpoint in `folder` was made with another recipe."""
    try:
        then = Recipe.model_validate(metadata.recipe)  # knobs that it did not know had today's defaults
    except ValidationError:
        differing = ["it has knobs that this version does not know"]
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
    """Raises DatasetChanged where the data set is not the one that the run began with."""
    if fingerprint != metadata.dataset_fingerprint:
        text = f"the pictures are not those that the run began with (fingerprint {fingerprint[:12]}, "
        text += f"was {metadata.dataset_fingerprint[:12]})"
        raise DatasetChanged(text, "Bring the old ones back, or retry from scratch.")


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Each knob by its path, `augment.2.p`; a list's or part's absence shows as well."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        parts = [_flatten(inner, f"{path}.{key}" if path else str(key)) for key, inner in pairs]
        return {name: inner for part in parts for name, inner in part.items()}
    return {path: value}
