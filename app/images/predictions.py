"""Stored predictions of runs on their validation images, and the images on which two runs, or groups, disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.images.augmentation import png_data_url
from app.records.models import Prediction, Run
from trainer.data.gallery import Gallery, Split
from trainer.data.predictions import unpack, unpack_confidences
from trainer.failures import CannotTrain
from trainer.recipe import Dataset

MAX_IMAGES = 48  # of each kind


@dataclass(frozen=True)
class DisagreementImage:
    number: int  # in the validation split, from 0
    png: str  # a data URL
    label: str
    predicted: tuple[str, str]  # by the one side and by the other; of several runs the most frequent
    correct: tuple[int, int]  # runs of each side that predict the label


@dataclass(frozen=True)
class Validation:
    """A run's validation images with its predictions."""

    shelf: Split
    predicted: NDArray[np.uint16]  # (n,) class
    confidence: NDArray[np.float64] | None  # (n,) probability of that class; None: the trainer did not report it


@dataclass(frozen=True)
class Disagreement:
    """How many images both sides, one, or none classified correctly, and some that one did more often.

    With several runs on a side: `both` counts images that all runs got right, `only` those that a larger share of one
    side's runs did, `neither` the rest.
    """

    both: int
    neither: int
    only: tuple[int, int]
    epochs: tuple[int, int]  # of each side the last, after which its predictions were made
    pictures: tuple[list[DisagreementImage], list[DisagreementImage]]  # more often correct by the one, by the other
    correct: tuple[NDArray[np.bool_], NDArray[np.bool_]]  # (runs, images) of each side


def runs_with_predictions(session: Session, run_ids: Sequence[int]) -> list[int]:
    """The runs whose predictions are stored, in the given order."""
    query = select(Prediction.run_id).where(Prediction.run_id.in_(run_ids))
    stored = set(session.scalars(query))
    return [run_id for run_id in run_ids if run_id in stored]


def find_disagreement(session: Session, gallery: Gallery, left: Sequence[Run], right: Sequence[Run]) -> Disagreement:
    """Of two runs, or of the runs of two groups. Raises InvalidRequest if a side has no runs or those of several
    recipes, a run is on both sides, they were validated on different images, one has no predictions, or the images are
    not on this machine."""
    _check_sides(left, right)
    validated = [
        [load_validation(session, gallery, run, field) for run in side]
        for side, field in ((left, "left"), (right, "right"))
    ]
    shelf = validated[0][0].shelf
    predicted = [np.stack([one.predicted for one in side]) for side in validated]
    correct = [side == shelf.labels for side in predicted]
    change = correct[0].mean(axis=0) - correct[1].mean(axis=0)
    both = int((correct[0].all(axis=0) & correct[1].all(axis=0)).sum())
    only = int((change > 0).sum()), int((change < 0).sum())
    return Disagreement(
        both=both,
        neither=len(change) - both - sum(only),
        only=only,
        epochs=(left[0].last_epoch, right[0].last_epoch),
        pictures=(_load_images(shelf, change, predicted), _load_images(shelf, -change, predicted)),
        correct=(correct[0], correct[1]),
    )


def _check_sides(left: Sequence[Run], right: Sequence[Run]) -> None:
    for side, field in ((left, "left"), (right, "right")):
        if not side:
            raise InvalidRequest([(field, "none of these runs has predictions: they are stored after the last epoch")])
        other = next((run for run in side if run.recipe_hash != side[0].recipe_hash), None)
        if other is not None:
            raise InvalidRequest([(field, f"runs {side[0].id} and {other.id} are not of one recipe")])
    if shared := {run.id for run in left} & {run.id for run in right}:
        raise InvalidRequest([("right", f"run {min(shared)} is on both sides")])
    first, data = left[0], Dataset.model_validate(left[0].recipe["dataset"])
    for run in (*left, *right):
        its_data = Dataset.model_validate(run.recipe["dataset"])
        is_changed = its_data == data and None not in (run.fingerprint, first.fingerprint)
        if _split(its_data) != _split(data) or (is_changed and run.fingerprint != first.fingerprint):
            message = f"run {run.id} was validated on other images than run {first.id}"
            raise InvalidRequest([("right" if run in right else "left", message)])


def load_validation(session: Session, gallery: Gallery, run: Run, field: str) -> Validation:
    """Raises InvalidRequest naming `field` if the run has no predictions, or its images are not on this machine."""
    stored = session.get(Prediction, run.id)
    if stored is None:
        raise InvalidRequest([(field, f"run {run.id} has no predictions: they are stored after the last epoch")])
    data = Dataset.model_validate(run.recipe["dataset"])
    try:
        shelf = gallery.validation(data)
    except CannotTrain as problem:
        raise InvalidRequest([(field, f"{problem}. {problem.hint}".strip())]) from None
    predicted = unpack(stored.packed)
    if len(predicted) != len(shelf.labels) or not _matches_accuracy(run, predicted == shelf.labels):
        message = f"the images of {data.name} here are not those that run {run.id} was validated on"
        raise InvalidRequest([(field, message)])
    confidence = None if stored.confidences is None else unpack_confidences(stored.confidences)
    return Validation(
        shelf, predicted, confidence if confidence is not None and len(confidence) == len(predicted) else None
    )


def _split(data: Dataset) -> tuple[object, ...]:
    return data.name, data.val_limit, data.val_from_train


def _matches_accuracy(run: Run, correct: NDArray[np.bool_]) -> bool:
    """Whether the predictions give an accuracy that the run reported, with or without TTA: with other images they
    would not."""
    reported = [one for one in (run.last_val_accuracy, run.last_plain_accuracy) if one is not None]
    return any(abs(float(correct.mean()) - one) < 0.5 / len(correct) for one in reported)


def _load_images(
    shelf: Split, change: NDArray[np.float64], predicted: Sequence[NDArray[np.uint16]]
) -> list[DisagreementImage]:
    """Images with a positive change, the largest first. `predicted`: (runs, images) of each side."""
    numbers = np.argsort(-change, kind="stable")[: min(int((change > 0).sum()), MAX_IMAGES)]
    images = []
    for number, image in zip(numbers.tolist(), shelf.images[numbers], strict=True):
        label, sides = shelf.labels[number], [side[:, number] for side in predicted]
        one, other = (shelf.classes[np.bincount(side).argmax()] for side in sides)
        correct = int((sides[0] == label).sum()), int((sides[1] == label).sum())
        images.append(DisagreementImage(number, png_data_url(image), shelf.classes[label], (one, other), correct))
    return images
