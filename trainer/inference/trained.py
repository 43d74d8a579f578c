"""Loads a trained model from its best weights, and predicts with NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trainer.augment.normalisation import Images, PerChannel, normalise
from trainer.failures import CheckpointDamaged
from trainer.loop import checkpoint_file
from trainer.models.architectures import build_layers
from trainer.models.forward import forward, softmax
from trainer.models.layers import Layer
from trainer.recipe import Recipe


@dataclass(frozen=True)
class TrainedModel:
    layers: list[Layer]
    weights: Mapping[str, NDArray[Any]]  # by "<layer>/<weight>"
    scale: PerChannel  # a pixel p is normalized to p / scale - shift
    shift: PerChannel
    classes: list[str]
    epoch: int  # after which the weights were saved: the run's best
    val_accuracy: float | None  # of that epoch without TTA, as this model predicts; None: not known

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Class probabilities (b, classes) of RGB images uint8 (b, 32, 32, 3), without TTA."""
        return softmax(forward(self.layers, self.weights, normalise(images, self.scale, self.shift)))


def load_trained(path: Path) -> TrainedModel:
    """Raises CheckpointDamaged if the file is not a checkpoint or lacks the required metadata."""
    found = checkpoint_file.read_checkpoint(path)
    metadata = found.metadata
    if not metadata.classes or not metadata.normal:
        raise CheckpointDamaged("these weights are of an earlier version, which did not store the input normalization")
    try:
        recipe = Recipe.model_validate(metadata.recipe)
    except ValidationError as error:
        raise CheckpointDamaged("these weights are of a recipe that this version cannot read") from error
    scale, shift = (np.array(part, np.float32) for part in metadata.normal)
    made = build_layers(recipe.model, len(metadata.classes))
    epoch = metadata.place.best_epoch
    rows = [row for row in metadata.place.history if row["epoch"] == epoch]
    val_accuracy = rows[-1]["val_accuracy"] if rows else None
    return TrainedModel(made, found.tensors, scale, shift, metadata.classes, epoch, val_accuracy)
