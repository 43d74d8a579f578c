"""Builds batches inside a compiled program from images on the device: gather, augment, mix, normalize."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from trainer.augment.batched import ArrayAugmenter
from trainer.augment.normalisation import PerChannel
from trainer.augment.pipeline import Steps, StoredBatch
from trainer.augment.tables import from_columns
from trainer.recipe import Recipe


class DeviceImages:
    """The recipe's input pipeline on the device."""

    def __init__(self, recipe: Recipe, classes: int, scale: PerChannel, shift: PerChannel) -> None:
        self._steps, self._batched, self._classes = Steps(recipe), ArrayAugmenter(scale, shift, ops), classes

    def training_batch(self, split: tuple[Any, Any], tables: Mapping[str, Any], indices: Mapping[str, Any]) -> Any:
        """(images float32 (b, side, side, 3), soft labels float32 (b, classes)).

        `split`: all images uint8 and their classes int32. `tables`: see trainer.augment.tables. `indices`: indices of
        images, "own" int32 (b,); with mixup also "other", and "share" float32 (b,), the weight of "own".
        """
        own, shares = self._gather(split, tables, indices["own"]), self._soft_labels(split, indices["own"])
        if "other" not in indices:
            *_, last = self._steps.stages(self._batched, own)
            return last.pictures, shares
        other, share = self._gather(split, tables, indices["other"]), indices["share"]
        *_, last = self._steps.stages(self._batched, own, other, share)
        weight = ops.reshape(share, (-1, 1))
        return last.pictures, weight * shares + (1.0 - weight) * self._soft_labels(split, indices["other"])

    def validation_batch(self, split: tuple[Any, Any], indices: Any) -> Any:
        """The same without augmentation; `indices`: indices int32 (b,)."""
        return self._batched.normalise(ops.take(split[0], indices, axis=0)), self._soft_labels(split, indices)

    def _gather(self, split: tuple[Any, Any], tables: Mapping[str, Any], indices: Any) -> StoredBatch:
        columns = {name: ops.take(column, indices, axis=0) for name, column in tables.items()}
        return StoredBatch(ops.take(split[0], indices, axis=0), from_columns(columns, self._steps.operations))

    def _soft_labels(self, split: tuple[Any, Any], indices: Any) -> Any:
        return ops.one_hot(ops.take(split[1], indices, axis=0), self._classes, dtype="float32")
