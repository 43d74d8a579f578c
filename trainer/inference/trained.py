"""A trained net from the file of its best weights: what it is made of, and what it takes a picture for.

NumPy only. Must not know the worker, the app or where the file came from.
"""

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
    scale: PerChannel  # a pixel p becomes p / scale - shift
    shift: PerChannel
    classes: list[str]
    epoch: int  # after which the weights were taken

    def probabilities(self, pictures: Images) -> NDArray[np.float32]:
        """Of each class, (b, classes), for uint8 (b, 32, 32, 3) RGB. One look each: no test-time augmentation."""
        return softmax(forward(self.layers, self.weights, normalise(pictures, self.scale, self.shift)))


def load_trained(path: Path) -> TrainedModel:
    """Raises CheckpointDamaged where the file is none, or says too little."""
    found = checkpoint_file.read_checkpoint(path)
    metadata = found.metadata
    if not metadata.classes or not metadata.normal:
        raise CheckpointDamaged("these weights are of an earlier version, which did not keep how pictures are fed in")
    try:
        recipe = Recipe.model_validate(metadata.recipe)
    except ValidationError as error:
        raise CheckpointDamaged("these weights are of a recipe that this version cannot read") from error
    scale, shift = (np.array(part, np.float32) for part in metadata.normal)
    made = build_layers(recipe.model, len(metadata.classes))
    return TrainedModel(made, found.tensors, scale, shift, metadata.classes, metadata.place.best_epoch)
