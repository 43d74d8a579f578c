"""A batch made inside a program, of pictures that lie on the device: looked up, changed, mixed, normalised. Keras only.

Must not know the net or what is done with the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from trainer.augment.batched import Batched
from trainer.augment.flow import Flow, Taken
from trainer.augment.normalisation import PerChannel
from trainer.augment.tables import drawn
from trainer.recipe import Recipe


class DeviceImages:
    """The recipe's way from the data set to a batch."""

    def __init__(self, recipe: Recipe, classes: int, scale: PerChannel, shift: PerChannel) -> None:
        self._flow, self._hand, self._classes = Flow(recipe), Batched(scale, shift, ops), classes

    def training_batch(self, split: tuple[Any, Any], tables: Mapping[str, Any], places: Mapping[str, Any]) -> Any:
        """(images float32 (b, side, side, 3), label shares float32 (b, classes)).

        `split`: all pictures uint8 and their classes int32. `tables`: see trainer.augment.tables. `places`: numbers
        of pictures, "own" int32 (b,); with mixup also "other", and "share" float32 (b,), how much of "own".
        """
        own, shares = self._taken(split, tables, places["own"]), self._shares(split, places["own"])
        if "other" not in places:
            *_, last = self._flow.stages(self._hand, own)
            return last.pictures, shares
        other, share = self._taken(split, tables, places["other"]), places["share"]
        *_, last = self._flow.stages(self._hand, own, other, share)
        weight = ops.reshape(share, (-1, 1))
        return last.pictures, weight * shares + (1.0 - weight) * self._shares(split, places["other"])

    def validation_batch(self, split: tuple[Any, Any], places: Any) -> Any:
        """The same without augmentation; `places` int32 (b,)."""
        return self._hand.normalised(ops.take(split[0], places, axis=0)), self._shares(split, places)

    def _taken(self, split: tuple[Any, Any], tables: Mapping[str, Any], numbers: Any) -> Taken:
        columns = {name: ops.take(column, numbers, axis=0) for name, column in tables.items()}
        return Taken(ops.take(split[0], numbers, axis=0), drawn(columns, self._flow.operations))

    def _shares(self, split: tuple[Any, Any], numbers: Any) -> Any:
        return ops.one_hot(ops.take(split[1], numbers, axis=0), self._classes, dtype="float32")
