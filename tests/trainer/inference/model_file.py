"""A file of a trained model without training: random weights of the quickstart's model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.loop import checkpoint_file
from trainer.loop.checkpoint_file import Checkpoint, Metadata, RunPosition
from trainer.models.architectures import build_layers
from trainer.presets import PRESETS


def write_net(path: Path, names: list[str]) -> None:
    """`names`: of its classes."""
    recipe = PRESETS["quickstart"].recipe
    generator, tensors, channels = np.random.default_rng(0), {}, 3
    for layer in build_layers(recipe.model, len(names)):
        if layer.kind == "conv":
            shape = (layer.knobs["size"], layer.knobs["size"], channels, layer.shape[-1])
            tensors[f"{layer.name}/kernel"] = generator.normal(0, 0.1, shape).astype(np.float32)
            channels = layer.shape[-1]
        elif layer.kind == "batch_norm":
            for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
                tensors[f"{layer.name}/{name}"] = np.full(channels, value, np.float32)
        elif layer.kind == "dense":
            tensors[f"{layer.name}/kernel"] = generator.normal(0, 1, (channels, len(names))).astype(np.float32)
    fed = [[255.0] * 3, [0.0] * 3]
    metadata = Metadata(RunPosition(epoch=1, best_epoch=1), recipe.model_dump(mode="json"), "f" * 64, {}, names, fed)
    checkpoint_file.write_checkpoint(path, Checkpoint(metadata, tensors))
