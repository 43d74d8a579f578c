"""Which validation pictures one run got right and another wrong, by what their nets took each for at the end.

Must not know HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.images.augmentation import png
from app.records.models import Prediction, Run
from trainer.data.gallery import Gallery, Shelf
from trainer.data.predictions import unpack, unpack_confidences
from trainer.failures import CannotTrain
from trainer.recipe import Dataset

MAX_IMAGES = 48  # pictures of each kind


@dataclass(frozen=True)
class Picture:
    number: int  # in the validation split, from 0
    png: str  # a data URL
    label: str
    taken: tuple[str, str]  # for what, by the one run and the other


@dataclass(frozen=True)
class Validation:
    """A run's validation pictures with what its net took each for."""

    shelf: Shelf
    taken: NDArray[np.uint16]  # (n,) class
    surely: NDArray[np.float64] | None  # (n,) probability that it gave to that; None: the trainer did not say


@dataclass(frozen=True)
class Disagreement:
    """How many pictures both, one, or none of two runs got right, and some that only one did."""

    both: int
    neither: int
    only: tuple[int, int]
    pictures: tuple[list[Picture], list[Picture]]  # that only the one got right, that only the other did


def with_predictions(session: Session, run_ids: Sequence[int]) -> list[int]:
    """Those of them whose predictions are kept, in the same order."""
    query = select(Prediction.run_id).where(Prediction.run_id.in_(run_ids))
    kept = set(session.scalars(query))
    return [run_id for run_id in run_ids if run_id in kept]


def disagreement(session: Session, gallery: Gallery, one: Run, other: Run) -> Disagreement:
    """Raises InvalidRequest where they saw other pictures, one has no predictions, or the pictures are not here."""
    data = Dataset.model_validate(one.recipe["dataset"])
    if _split(data) != _split(Dataset.model_validate(other.recipe["dataset"])):
        raise InvalidRequest([("right", f"run {other.id} was validated on other pictures than run {one.id}")])
    validated = [validation_of(session, gallery, run, field) for run, field in ((one, "left"), (other, "right"))]
    shelf, taken = validated[0].shelf, [each.taken for each in validated]
    right = [found == shelf.labels for found in taken]
    only = (right[0] & ~right[1], right[1] & ~right[0])
    return Disagreement(
        both=int((right[0] & right[1]).sum()),
        neither=int((~right[0] & ~right[1]).sum()),
        only=(int(only[0].sum()), int(only[1].sum())),
        pictures=(_pictures(shelf, only[0], taken), _pictures(shelf, only[1], taken)),
    )


def validation_of(session: Session, gallery: Gallery, run: Run, field: str) -> Validation:
    """Raises InvalidRequest naming `field` where the run has no predictions, or these pictures are not here."""
    kept = session.get(Prediction, run.id)
    if kept is None:
        raise InvalidRequest([(field, f"run {run.id} kept no predictions: they come with a run's last epoch")])
    data = Dataset.model_validate(run.recipe["dataset"])
    try:
        shelf = gallery.validation(data)
    except CannotTrain as problem:
        raise InvalidRequest([(field, f"{problem}. {problem.hint}".strip())]) from None
    taken = unpack(kept.packed)
    if len(taken) != len(shelf.labels) or not _is_right(run, taken == shelf.labels):
        words = f"the pictures of {data.name} here are not those that run {run.id} was validated on"
        raise InvalidRequest([(field, words)])
    surely = None if kept.confidences is None else unpack_confidences(kept.confidences)
    return Validation(shelf, taken, surely if surely is not None and len(surely) == len(taken) else None)


def _split(data: Dataset) -> tuple[object, ...]:
    return data.name, data.val_limit, data.val_from_train


def _is_right(run: Run, right: NDArray[np.bool_]) -> bool:
    """Whether the predictions make an accuracy that the run itself said, with TTA or plain: with other pictures they
    would not."""
    said = [one for one in (run.last_val_accuracy, run.last_plain_accuracy) if one is not None]
    return any(abs(float(right.mean()) - one) < 0.5 / len(right) for one in said)


def _pictures(shelf: Shelf, chosen: NDArray[np.bool_], taken: Sequence[NDArray[np.uint16]]) -> list[Picture]:
    numbers = np.flatnonzero(chosen)[:MAX_IMAGES]
    images = shelf.images[numbers]
    return [
        Picture(
            int(number),
            png(image),
            shelf.classes[shelf.labels[number]],
            (shelf.classes[taken[0][number]], shelf.classes[taken[1][number]]),
        )
        for number, image in zip(numbers, images, strict=True)
    ]
