"""What a net has learned, by what it took its validation pictures for: where it errs, how often, and how surely.

Reads by pictures.py. Must not know HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.images.augmentation import png
from app.images.predictions import Validation

MAX_CLASSES = 20  # of a table; more are told by the pairs that are mixed up most
MAX_PAIRS = 12
MAX_MISTAKES = 24
BINS = 10


@dataclass(frozen=True)
class OfClass:
    name: str
    pictures: int
    right: float  # share of them that the net took for this class (recall); not-a-number: it has none
    precise: float  # share of those it took for this class that are; not-a-number: it took none


@dataclass(frozen=True)
class Mistake:
    number: int  # of the picture, in the validation split, from 0
    png: str
    label: str
    taken: str
    surely: float


@dataclass(frozen=True)
class Bin:
    low: float
    high: float
    pictures: int
    surely: float  # mean
    right: float  # share


@dataclass(frozen=True)
class Learned:
    """`confusion` (c, c): how many pictures of a row's class were taken for a column's; None: too many classes."""

    classes: list[OfClass]
    confusion: NDArray[np.int64] | None
    pairs: list[tuple[str, str, int]]  # label, taken for, how often; the most often first
    mistakes: list[Mistake]  # the surest first; empty where nobody said how surely
    bins: list[Bin]
    error: float | None  # expected calibration error, as a share


def evaluate(found: Validation) -> Learned:
    shelf, taken = found.shelf, found.taken
    names, count = shelf.classes, len(shelf.classes)
    bins = [] if found.surely is None else calibration(found.surely, taken == shelf.labels)
    pictures = sum(one.pictures for one in bins)
    return Learned(
        classes=_of_classes(names, shelf.labels, taken),
        confusion=confusion(shelf.labels, taken, count) if count <= MAX_CLASSES else None,
        pairs=_pairs(shelf.labels, taken, names),
        mistakes=_mistakes(found),
        bins=bins,
        error=sum(one.pictures * abs(one.right - one.surely) for one in bins) / pictures if pictures else None,
    )


def confusion(labels: NDArray[np.integer], taken: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(classes, classes): rows are labels. What is taken for no class that there is counts nowhere."""
    known = taken < classes
    places = labels[known].astype(np.int64) * classes + taken[known]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def calibration(surely: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Ten bins of equal width, those without a picture left out. Source: Guo et al., "On Calibration of Modern Neural
    Networks" (2017), whose expected calibration error is the mean of |right - surely|, weighed by pictures."""
    which = np.minimum((surely * BINS).astype(int), BINS - 1)
    return [
        Bin(at / BINS, (at + 1) / BINS, int(one.sum()), float(surely[one].mean()), float(right[one].mean()))
        for at in range(BINS)
        if (one := which == at).any()
    ]


def _of_classes(names: Sequence[str], labels: NDArray[np.integer], taken: NDArray[np.integer]) -> list[OfClass]:
    count = len(names)
    own = np.bincount(labels, minlength=count)
    chosen = np.bincount(taken[taken < count], minlength=count)
    hits = np.bincount(labels[labels == taken], minlength=count)
    return [
        OfClass(name, int(own[at]), _share(hits[at], own[at]), _share(hits[at], chosen[at]))
        for at, name in enumerate(names)
    ]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else np.nan


def _pairs(labels: NDArray[np.integer], taken: NDArray[np.integer], names: Sequence[str]) -> list[tuple[str, str, int]]:
    """No matrix: a data set may have thousands of classes."""
    wrong = (labels != taken) & (taken < len(names))
    places = labels[wrong].astype(np.int64) * len(names) + taken[wrong]
    found, counts = np.unique(places, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_PAIRS]
    return [(names[found[at] // len(names)], names[found[at] % len(names)], int(counts[at])) for at in order]


def _mistakes(found: Validation) -> list[Mistake]:
    if found.surely is None:
        return []
    shelf = found.shelf
    wrong = np.flatnonzero((found.taken != shelf.labels) & (found.taken < len(shelf.classes)))
    numbers = wrong[np.argsort(-found.surely[wrong], kind="stable")][:MAX_MISTAKES]
    order = np.sort(numbers)  # a file is read forwards
    images = dict(zip(order.tolist(), shelf.images[order], strict=True)) if len(order) else {}
    return [
        Mistake(
            number,
            png(images[number]),
            shelf.classes[shelf.labels[number]],
            shelf.classes[found.taken[number]],
            float(found.surely[number]),
        )
        for number in numbers.tolist()
    ]
