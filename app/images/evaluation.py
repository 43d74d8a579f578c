"""Evaluates a model by its last predictions: confusion matrix, recall and precision, calibration, mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.images.augmentation import png_data_url
from app.images.predictions import Validation

MAX_CLASSES = 20  # of a confusion matrix; with more, the most confused pairs are shown alone
MAX_PAIRS = 12
MAX_MISTAKES = 24
BINS = 10


@dataclass(frozen=True)
class ClassAccuracy:
    name: str
    images: int
    recall: float  # share of its images that were predicted as it; not-a-number without images
    precision: float  # share of the images predicted as it that are; not-a-number without predictions


@dataclass(frozen=True)
class Misclassification:
    number: int  # of the image in the validation split, from 0
    png: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Bin:
    low: float
    high: float
    images: int
    confidence: float  # mean
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """`confusion` (c, c): images by label (row) and prediction (column); None with too many classes."""

    images: int
    correct: int
    classes: list[ClassAccuracy]
    confusion: NDArray[np.int64] | None
    pairs: list[tuple[str, str, int]]  # label, prediction, count; most frequent first
    mistakes: list[Misclassification]  # most confident first; empty where confidences are unknown
    bins: list[Bin]
    error: float | None  # expected calibration error, as a share


def evaluate(validation: Validation) -> Evaluation:
    labels, names, predicted = validation.shelf.labels, validation.shelf.classes, validation.predicted
    confidence = validation.confidence
    bins = [] if confidence is None else calibration_bins(confidence, predicted == labels)
    known = sum(one.images for one in bins)
    return Evaluation(
        images=len(labels),
        correct=int((predicted == labels).sum()),
        classes=_class_accuracies(names, labels, predicted),
        confusion=confusion_matrix(labels, predicted, len(names)) if len(names) <= MAX_CLASSES else None,
        pairs=_most_confused(labels, predicted, names),
        mistakes=_misclassifications(validation),
        bins=bins,
        error=sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / known if known else None,
    )


def confusion_matrix(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(classes, classes), a row for each label. Predictions of a class that does not exist are left out."""
    known = predicted < classes
    cells = labels[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def calibration_bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Bin]:
    """Ten bins of equal width, empty ones left out. Source: Guo et al., "On Calibration of Modern Neural Networks"
    (2017), whose expected calibration error is the mean of |accuracy - confidence|, weighted by images."""
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(
            number / BINS,
            (number + 1) / BINS,
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(correct[inside].mean()),
        )
        for number in range(BINS)
        if (inside := bin_of == number).any()
    ]


def _class_accuracies(
    names: Sequence[str], labels: NDArray[np.integer], predicted: NDArray[np.integer]
) -> list[ClassAccuracy]:
    count = len(names)
    labelled = np.bincount(labels, minlength=count)
    predictions = np.bincount(predicted[predicted < count], minlength=count)
    hits = np.bincount(labels[labels == predicted], minlength=count)
    return [
        ClassAccuracy(name, int(labelled[at]), _share(hits[at], labelled[at]), _share(hits[at], predictions[at]))
        for at, name in enumerate(names)
    ]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else np.nan


def _most_confused(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], names: Sequence[str]
) -> list[tuple[str, str, int]]:
    """Computed without a matrix: a data set may have thousands of classes."""
    wrong = (labels != predicted) & (predicted < len(names))
    cells = labels[wrong].astype(np.int64) * len(names) + predicted[wrong]
    pairs, counts = np.unique(cells, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_PAIRS]
    return [(names[pairs[at] // len(names)], names[pairs[at] % len(names)], int(counts[at])) for at in order]


def _misclassifications(validation: Validation) -> list[Misclassification]:
    shelf, predicted, confidence = validation.shelf, validation.predicted, validation.confidence
    if confidence is None:
        return []
    wrong = np.flatnonzero((predicted != shelf.labels) & (predicted < len(shelf.classes)))
    numbers = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES]
    order = np.sort(numbers)  # a file is read forwards
    images = dict(zip(order.tolist(), shelf.images[order], strict=True)) if len(order) else {}
    return [
        Misclassification(
            number,
            png_data_url(images[number]),
            shelf.classes[shelf.labels[number]],
            shelf.classes[predicted[number]],
            float(confidence[number]),
        )
        for number in numbers.tolist()
    ]
