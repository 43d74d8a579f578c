"""How many images a run trained on: what its speed, its MFU and its live rate are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch as count_steps


def images_per_epoch(recipe: Mapping[str, Any], train_images: int, steps_per_epoch: int) -> int:
    """All training images, or those of whole batches if the last batch is dropped. A pair of images that mixup combined
    counts as one. `recipe`: as stored; recipes of earlier versions have fewer keys.
    """
    mixup = recipe.get("mixup")
    if recipe.get("last_batch") == "drop" or (mixup and mixup["pairing"] == "disjoint"):
        return steps_per_epoch * int(recipe["batch_size"])
    return train_images


def images_per_epoch_of(recipe: Recipe, train_images: int) -> int:
    """The same for a recipe that has not been started."""
    return images_per_epoch(recipe.model_dump(mode="json"), train_images, count_steps(recipe, train_images))
