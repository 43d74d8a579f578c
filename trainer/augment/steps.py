"""The steps from stored images to the model's input, in order.

Operations on uint8 images come first, in the recipe's order; then images become float32 in the input range; then
cutouts run. An Augmenter applies them: imgaug's (host.py) or an array library's (batched.py), in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.augment.draws import Params
from trainer.recipe import Recipe
from trainer.recipe.augmentation import ERASERS, Operation, execution_order


@dataclass(frozen=True)
class Stage:
    """Images after one step."""

    name: str  # stored, mixup, normalise, or the operation's
    position: int | None  # in the recipe's list of operations
    pictures: Any  # (b, side, side, 3): uint8 before, float32 after normalisation


@dataclass(frozen=True)
class StoredBatch:
    """A batch at its beginning."""

    pictures: Any  # uint8 (b, side, side, 3), as stored
    params: Mapping[int, Params]  # of each operation by its position; row k is for picture k


class Augmenter(Protocol):
    """Applies operations to whole batches. Row k of the parameters is for image k. Inputs are not modified."""

    def apply(self, pictures: Any, operation: Operation, drawn: Params) -> Any:
        """One operation."""

    def normalise(self, pictures: Any) -> Any:
        """Bytes to float32 in the recipe's range."""

    def mix_bytes(self, own: Any, other: Any, share: Any) -> Any:
        """`share` (b,) of the one, the rest of the other, in whole bytes."""

    def mix(self, own: Any, other: Any, share: Any) -> Any:
        """The same of normalised pictures."""


class Steps:
    """A recipe's operations in the order in which they are done."""

    def __init__(self, recipe: Recipe) -> None:
        self.operations = list(recipe.augment)
        self.order = execution_order(self.operations)
        self.mixup_timing = recipe.mixup.when if recipe.mixup else None

    def stages(
        self, augmenter: Augmenter, own: StoredBatch, other: StoredBatch | None = None, share: Any = None
    ) -> Iterator[Stage]:
        """One step after the other; the last one is what the net sees. `other`, `share`: with mixup."""
        yield Stage("stored", None, own.pictures)
        if self.mixup_timing is None or other is None:
            yield from self._apply_all(augmenter, own.pictures, own.params)
        elif self.mixup_timing == "before":
            # Whole bytes again: yu4u's generator mixes normalised pixels, which differ by 1/510 of the range at most.
            pictures = augmenter.mix_bytes(own.pictures, other.pictures, share)
            yield Stage("mixup", None, pictures)
            yield from self._apply_all(augmenter, pictures, own.params)
        else:
            for stage in self._apply_all(augmenter, own.pictures, own.params):
                yield stage
            *_, last = self._apply_all(augmenter, other.pictures, other.params)
            yield Stage("mixup", None, augmenter.mix(stage.pictures, last.pictures, share))

    def _apply_all(self, augmenter: Augmenter, pictures: Any, params: Mapping[int, Params]) -> Iterator[Stage]:
        is_normal = False
        for position in self.order:
            operation = self.operations[position]
            if isinstance(operation, ERASERS) and not is_normal:
                pictures, is_normal = augmenter.normalise(pictures), True
                yield Stage("normalise", None, pictures)
            pictures = augmenter.apply(pictures, operation, params[position])
            yield Stage(operation.op, position, pictures)
        if not is_normal:
            yield Stage("normalise", None, augmenter.normalise(pictures))
