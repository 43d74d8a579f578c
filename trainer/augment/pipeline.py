"""A recipe's way from stored pictures to the net's input, for previews, evidence and the crew that prepares batches.

Its hand is the one that the recipe names: imgaug's, or in NumPy the very operations that the device does. Safe to use
from several threads. Must not know any ML framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from trainer.augment.batched import Batched
from trainer.augment.draws import Draws
from trainer.augment.flow import Flow, Hand, Stage, Taken
from trainer.augment.host import Host
from trainer.augment.normalisation import Batch, PerChannel, Pictures, normalisation, normalised
from trainer.augment.selections import Selection
from trainer.augment.tables import epoch_draws, rows
from trainer.recipe import Recipe

AT_ONCE = 128  # pictures: what is done to them then stays in the processor's cache


class Pipeline:
    """Batches of a recipe, and their stages on the way."""

    def __init__(
        self, recipe: Recipe, train_images: Pictures, normal: tuple[PerChannel, PerChannel] | None = None
    ) -> None:
        """`train_images`: uint8 (n, side, side, 3), kept by reference and never changed; anything that offers
        length, shape and rows will do. `normal`: scale and shift, where they are known already.
        """
        self.images, self.recipe = train_images, recipe
        self.scale, self.shift = normal or normalisation(recipe.normalize, train_images)
        self._flow = Flow(recipe)
        self._hand: Hand = (Batched if recipe.augment_engine == "device" else Host)(self.scale, self.shift)
        self._draws: dict[int, dict[int, Draws]] = {}
        self._lock = Lock()

    def batch(self, epoch: int, selection: Selection) -> Batch:
        """The pictures of a batch as epoch `epoch` (from 1) sees them: float32 (b, side, side, 3)."""
        result = np.empty((len(selection), *self.images.shape[1:]), dtype=np.float32)
        for at in range(0, len(selection), AT_ONCE):
            *_, last = self.stages(epoch, selection.part(at, at + AT_ONCE))
            result[at : at + AT_ONCE] = last.pictures
        return result

    def stages(self, epoch: int, selection: Selection) -> Iterator[Stage]:
        """The same, one step after the other; the last one is what the net sees."""
        draws = self.draws(epoch)
        other = share = None
        if selection.partners is not None and selection.shares is not None:
            other, share = self._taken(selection.partners, draws), selection.shares.astype(np.float32)
        return self._flow.stages(self._hand, self._taken(selection.pictures, draws), other, share)

    def evaluation(self, images: Pictures) -> Batch:
        """Pictures without augmentation, in the same range: float32, the shape of `images`."""
        return normalised(images, self.scale, self.shift)

    def draws(self, epoch: int) -> dict[int, Draws]:
        """Of all pictures, by the operation's position; the latest two epochs are kept."""
        with self._lock:
            if epoch not in self._draws:
                fresh = epoch_draws(self.recipe, epoch, len(self.images), int(self.images.shape[1]))
                # Two epochs are enough: one in use, the next prepared ahead.
                kept = {old: drawn for old, drawn in self._draws.items() if old == epoch - 1}
                self._draws = {**kept, epoch: fresh}
            return self._draws[epoch]

    def _taken(self, numbers: NDArray[np.int64], draws: dict[int, Draws]) -> Taken:
        return Taken(self.images[numbers], rows(draws, numbers))
