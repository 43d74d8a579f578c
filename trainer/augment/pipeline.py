"""A recipe's path from stored images to the model's input, for previews, evidence and the loader pool.

Uses the augmenter that the recipe names: imgaug, or NumPy with the same operations as the device. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from trainer.augment.batched import ArrayAugmenter
from trainer.augment.draws import Params
from trainer.augment.host import ImgaugAugmenter
from trainer.augment.normalisation import Batch, Images, PerChannel, compute_normalisation, normalise
from trainer.augment.selections import Selection
from trainer.augment.steps import Augmenter, Stage, Steps, StoredBatch
from trainer.augment.tables import sample_epoch_params, select_rows
from trainer.recipe import Recipe

CHUNK = 128  # pictures: what is done to them then stays in the processor's cache


class Pipeline:
    """Batches of a recipe, and their stages on the way."""

    def __init__(
        self, recipe: Recipe, train_images: Images, normal: tuple[PerChannel, PerChannel] | None = None
    ) -> None:
        """`train_images`: uint8 (n, side, side, 3), kept by reference and never changed; anything that offers
        length, shape and rows will do. `normal`: scale and shift, where they are known already.
        """
        self.images, self.recipe = train_images, recipe
        self.scale, self.shift = normal or compute_normalisation(recipe.normalize, train_images)
        self._steps = Steps(recipe)
        self._augmenter: Augmenter = (ArrayAugmenter if recipe.augment_engine == "device" else ImgaugAugmenter)(
            self.scale, self.shift
        )
        self._params: dict[int, dict[int, Params]] = {}
        self._lock = Lock()

    def batch(self, epoch: int, selection: Selection) -> Batch:
        """The pictures of a batch as epoch `epoch` (from 1) sees them: float32 (b, side, side, 3)."""
        result = np.empty((len(selection), *self.images.shape[1:]), dtype=np.float32)
        for at in range(0, len(selection), CHUNK):
            *_, last = self.stages(epoch, selection.part(at, at + CHUNK))
            result[at : at + CHUNK] = last.pictures
        return result

    def stages(self, epoch: int, selection: Selection) -> Iterator[Stage]:
        """The same, one step after the other; the last one is what the net sees."""
        params = self.epoch_params(epoch)
        other = share = None
        if selection.partners is not None and selection.shares is not None:
            other, share = self._load_images(selection.partners, params), selection.shares.astype(np.float32)
        return self._steps.stages(self._augmenter, self._load_images(selection.pictures, params), other, share)

    def evaluation(self, images: Images) -> Batch:
        """Pictures without augmentation, in the same range: float32, the shape of `images`."""
        return normalise(images, self.scale, self.shift)

    def epoch_params(self, epoch: int) -> dict[int, Params]:
        """Of all pictures, by the operation's position; the latest two epochs are kept."""
        with self._lock:
            if epoch not in self._params:
                fresh = sample_epoch_params(self.recipe, epoch, len(self.images), int(self.images.shape[1]))
                # Two epochs are enough: one in use, the next prepared ahead.
                kept = {old: drawn for old, drawn in self._params.items() if old == epoch - 1}
                self._params = {**kept, epoch: fresh}
            return self._params[epoch]

    def _load_images(self, numbers: NDArray[np.int64], params: dict[int, Params]) -> StoredBatch:
        return StoredBatch(self.images[numbers], select_rows(params, numbers))
