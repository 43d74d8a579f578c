"""Train a recipe by Keras' own `model.fit`, fed by imgaug on the host: as the original experiment did it.

`python -m benchmarks.peers.fit_side RECIPE.json --datasets FOLDER` says each epoch as the trainer does, as JSON.
The net is Pitwall's and so are the rates; the loop, the feeding and the augmentation are what a user writes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np

from trainer.augment.imgaug_shim import import_imgaug
from trainer.augment.normalisation import Batch, PerChannel, compute_normalisation, normalise
from trainer.data import datasets
from trainer.data.datasets import Data
from trainer.engine.model import Precision, build_model
from trainer.engine.train_step import RateTable
from trainer.models.architectures import build_layers
from trainer.recipe import Recipe
from trainer.recipe.augmentation import SIDE, CutoutSquare, Flip, PadCrop
from trainer.recipe.learning_rates import learning_rates

iaa, _ = import_imgaug()


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches in a new order each epoch: imgaug on bytes, then normalised, then a square cut out of each picture."""

    def __init__(self, recipe: Recipe, data: Data, normal: tuple[PerChannel, PerChannel]) -> None:
        super().__init__()
        self.recipe, self.data, self.normal = recipe, data, normal
        self.draw = np.random.default_rng(recipe.seed)
        self.order = self.draw.permutation(len(data.train_images))
        self.cut = 0
        operations = []
        for one in recipe.augment:
            match one:
                case PadCrop():
                    operations += [
                        iaa.Pad(px=one.pad, pad_mode=one.mode, keep_size=False),
                        iaa.CropToFixedSize(SIDE, SIDE),
                    ]
                case Flip():
                    operations.append(iaa.Fliplr(one.p))
                case CutoutSquare(p=1, value=0):
                    self.cut = one.size
                case _:
                    raise NotImplementedError(f"augmentation by {one.op}")
        self.augment = iaa.Sequential(operations, seed=recipe.seed)

    def __len__(self) -> int:
        return len(self.order) // self.recipe.batch_size

    def __getitem__(self, step: int) -> tuple[Batch, np.ndarray]:
        size = self.recipe.batch_size
        batch = self.order[step * size : (step + 1) * size]
        pictures = normalise(np.stack(self.augment(images=list(self.data.train_images[batch]))), *self.normal)
        for picture in pictures:
            top, left = self.draw.integers(0, SIDE - self.cut + 1, 2)
            picture[top : top + self.cut, left : left + self.cut] = 0
        return pictures, self.data.train_labels[batch]

    def on_epoch_end(self) -> None:
        self.draw.shuffle(self.order)


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Says each epoch; its seconds are those of its steps, the validation is outside."""

    def __init__(self, val_images: int) -> None:
        super().__init__()
        self.val_images = val_images

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds = perf_counter() - self.began  # of the last step in the end

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"event": "epoch", "epoch": epoch + 1, "seconds": self.seconds, "train_loss": logs["loss"]}
        correct = round(logs["val_accuracy"] * self.val_images)  # Keras' share is a rounded float32
        print(json.dumps({**row, "val_accuracy": correct / self.val_images}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--datasets", type=Path, required=True)
    arguments = parser.parse_args()
    recipe = Recipe.model_validate_json(arguments.recipe.read_text(encoding="utf-8"))
    data = datasets.load(recipe.dataset, arguments.datasets, lambda note: None)
    keras.utils.set_random_seed(recipe.seed)
    normal = compute_normalisation(recipe.normalize, data.train_images)
    net = build_model(
        build_layers(recipe.model, len(data.classes)), recipe.model.init, seed=recipe.seed, precision=_precision(recipe)
    )
    for weight in net.trainable_weights:
        weight.regularizer = keras.regularizers.L2(recipe.optimizer.weight_decay.value / 2)  # what `coupled` means
    net.compile(
        optimizer=keras.optimizers.SGD(
            RateTable(learning_rates(recipe, len(data.train_images))),
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    net.fit(
        Pictures(recipe, data, normal),
        epochs=recipe.epochs,
        validation_data=(normalise(data.val_images, *normal), data.val_labels),
        validation_batch_size=500,
        callbacks=[Clock(len(data.val_images))],
        verbose=0,
    )


def _precision(recipe: Recipe) -> Precision:
    return "bfloat16" if recipe.precision == "bfloat16" else "float32"


if __name__ == "__main__":
    main()
