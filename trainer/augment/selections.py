"""Which images form each batch of an epoch, by number, and their labels. Training, previews and evidence share this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.augment.draws import sample_order, sample_partners, sample_shares
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch

Labels = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class Selection:
    """One batch: numbers of training images; with mixup also their partners and shares."""

    pictures: NDArray[np.int64]  # (b,)
    partners: NDArray[np.int64] | None = None  # (b,)
    shares: NDArray[np.float64] | None = None  # (b,), 0..1: how much of `pictures`; the rest is of `partners`

    def __len__(self) -> int:
        return len(self.pictures)

    def part(self, first: int, last: int) -> Selection:
        """Places first..last-1 of the batch."""
        pictures = self.pictures[first:last]
        if self.partners is None or self.shares is None:
            return Selection(pictures)
        return Selection(pictures, self.partners[first:last], self.shares[first:last])


def list_selections(recipe: Recipe, train_images: int, epoch: int) -> list[Selection]:
    """The batches of an epoch (from 1), in order."""
    return list(_iterate(recipe, train_images, epoch))


def first_images(recipe: Recipe, train_images: int, epoch: int, count: int) -> Selection:
    """The first `count` images that an epoch sees, as if they were one batch; fewer if the epoch has fewer."""
    taken: list[Selection] = []
    for selection in _iterate(recipe, train_images, epoch):
        taken.append(selection)
        if sum(map(len, taken)) >= count:
            break
    if not taken:
        return Selection(np.zeros(0, np.int64))
    pictures = np.concatenate([one.pictures for one in taken])[:count]
    if recipe.mixup is None:
        return Selection(pictures)
    others = np.concatenate([one.partners for one in taken if one.partners is not None])[:count]
    return Selection(pictures, others, np.concatenate([one.shares for one in taken if one.shares is not None])[:count])


def _iterate(recipe: Recipe, train_images: int, epoch: int) -> Iterator[Selection]:
    mixed, size = sample_order(recipe.seed, epoch, train_images), recipe.batch_size
    steps = range(steps_per_epoch(recipe, train_images))
    mixup = recipe.mixup
    if mixup is None:
        yield from (Selection(mixed[step * size : (step + 1) * size]) for step in steps)
        return
    share = sample_shares(mixup, recipe.seed, epoch, train_images)
    for step in steps:
        if mixup.pairing == "disjoint":  # yu4u's generator: the halves of a double batch
            pair = mixed[2 * step * size : 2 * (step + 1) * size]
            pictures, others = pair[:size], pair[size:]
        else:
            pictures = mixed[step * size : (step + 1) * size]
            others = pictures[sample_partners(recipe.seed, epoch, step, len(pictures))]
        yield Selection(pictures, others, share[pictures])


def batch_labels(selection: Selection, labels: NDArray[np.int64], classes: int) -> Labels:
    """int64 (b,) class numbers; with mixup float32 (b, classes) shares that sum to 1."""
    own = labels[selection.pictures]
    if selection.partners is None or selection.shares is None:
        return own
    row, share = np.arange(len(own)), selection.shares.astype(np.float32)
    soft = np.zeros((len(own), classes), dtype=np.float32)
    soft[row, own] = share
    soft[row, labels[selection.partners]] += 1 - share
    return soft
