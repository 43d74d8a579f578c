"""Stored predictions of runs on their validation images, and the images on which two runs disagree."""

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
    predicted: tuple[str, str]  # by the one run and by the other


@dataclass(frozen=True)
class Validation:
    """A run's validation images with its predictions."""

    shelf: Split
    predicted: NDArray[np.uint16]  # (n,) class
    confidence: NDArray[np.float64] | None  # (n,) probability of that class; None: the trainer did not report it


@dataclass(frozen=True)
class Disagreement:
    """How many images both, one, or none of two runs classified correctly, and some that only one did."""

    both: int
    neither: int
    only: tuple[int, int]
    pictures: tuple[list[DisagreementImage], list[DisagreementImage]]  # correct by the one only, by the other only


def runs_with_predictions(session: Session, run_ids: Sequence[int]) -> list[int]:
    """The runs whose predictions are stored, in the given order."""
    query = select(Prediction.run_id).where(Prediction.run_id.in_(run_ids))
    stored = set(session.scalars(query))
    return [run_id for run_id in run_ids if run_id in stored]


def find_disagreement(session: Session, gallery: Gallery, one: Run, other: Run) -> Disagreement:
    """Raises InvalidRequest if they were validated on different images, one has no predictions, or the images are not
    on this machine."""
    data = Dataset.model_validate(one.recipe["dataset"])
    if _split(data) != _split(Dataset.model_validate(other.recipe["dataset"])):
        raise InvalidRequest([("right", f"run {other.id} was validated on other images than run {one.id}")])
    validated = [load_validation(session, gallery, run, field) for run, field in ((one, "left"), (other, "right"))]
    shelf, predicted = validated[0].shelf, [each.predicted for each in validated]
    correct = [each == shelf.labels for each in predicted]
    only = (correct[0] & ~correct[1], correct[1] & ~correct[0])
    return Disagreement(
        both=int((correct[0] & correct[1]).sum()),
        neither=int((~correct[0] & ~correct[1]).sum()),
        only=(int(only[0].sum()), int(only[1].sum())),
        pictures=(_load_images(shelf, only[0], predicted), _load_images(shelf, only[1], predicted)),
    )


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
    shelf: Split, chosen: NDArray[np.bool_], predicted: Sequence[NDArray[np.uint16]]
) -> list[DisagreementImage]:
    numbers = np.flatnonzero(chosen)[:MAX_IMAGES]
    return [
        DisagreementImage(
            int(number),
            png_data_url(image),
            shelf.classes[shelf.labels[number]],
            (shelf.classes[predicted[0][number]], shelf.classes[predicted[1][number]]),
        )
        for number, image in zip(numbers, shelf.images[numbers], strict=True)
    ]
