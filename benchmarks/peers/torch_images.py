"""Augmentation in PyTorch on the device: crop, flip and a square cut out, drawn for each picture, a batch at once.

The crop and the flip are one look-up in the padded bytes, whose result is channels-last already. Knows no nets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from trainer.augment.normalisation import PerChannel
from trainer.recipe import Recipe
from trainer.recipe.augmentation import SIDE, CutoutSquare, Flip, PadCrop

Batch = tuple[torch.Tensor, torch.Tensor]  # (b, 3, 32, 32) float32, channels-last; labels (b,) int64


class AugmentedImages:
    """A training set on `device`. Raises NotImplementedError where the recipe wants what is not done here."""

    def __init__(
        self,
        recipe: Recipe,
        images: np.ndarray,
        labels: np.ndarray,
        normal: tuple[PerChannel, PerChannel],
        device: str,
    ) -> None:
        """`images`: uint8 (n, 32, 32, 3). `normal`: scale and shift of each channel."""
        if strange := [one.op for one in recipe.augment if not isinstance(one, PadCrop | Flip | CutoutSquare)]:
            raise NotImplementedError(f"augmentation by {', '.join(strange)}")
        done = {one.op: one for one in recipe.augment}
        crop, flip, cut = done.get("pad_crop"), done.get("flip"), done.get("cutout_square")
        self.pad, self.flip_share = 0, flip.p if isinstance(flip, Flip) else 0.0
        if isinstance(crop, PadCrop):
            self.pad = crop.pad
            sides = [(0, 0), (crop.pad, crop.pad), (crop.pad, crop.pad), (0, 0)]
            images = np.pad(images, sides, mode=crop.mode)
        self.cut = cut if isinstance(cut, CutoutSquare) else None
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.scale, self.shift = (torch.from_numpy(one).to(device) for one in normal)
        self.size, self.is_dropped, self.device = recipe.batch_size, recipe.last_batch == "drop", device
        self.side = torch.arange(SIDE, device=device)

    def epoch(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.images), device=self.device)
        for batch in order.split(self.size):
            if len(batch) == self.size or not self.is_dropped:
                yield self._changed(batch), self.labels[batch]

    def _changed(self, batch: torch.Tensor) -> torch.Tensor:
        count, side = len(batch), self.side
        left, top = torch.randint(2 * self.pad + 1, (2, count, 1), device=self.device)
        is_flipped = torch.rand(count, 1, device=self.device) < self.flip_share
        columns = left + torch.where(is_flipped, SIDE - 1 - side, side)
        taken = self.images[batch[:, None, None], (top + side)[:, :, None], columns[:, None, :]]
        pictures = taken / self.scale - self.shift
        if self.cut:
            left, top = torch.randint(SIDE - self.cut.size + 1, (2, count, 1), device=self.device)
            is_cut = torch.rand(count, 1, device=self.device) < self.cut.p
            rows = (side >= top) & (side < top + self.cut.size) & is_cut
            columns = (side >= left) & (side < left + self.cut.size)
            pictures = pictures.masked_fill((rows[:, :, None] & columns[:, None, :])[..., None], self.cut.value)
        return pictures.permute(0, 3, 1, 2)
