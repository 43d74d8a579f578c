"""Why the result of a finished run may be worthless. Names are stored in the column `runs.concern`.

`at_chance`      its last accuracy is no better than guessing
`loss_ran_away`  its loss at the end is a multiple of its lowest, and far above the loss of guessing
`best_early`     its best epoch lies long before its end, and the last epochs are significantly worse

Only the first that holds is stored. Ordinary plateaus, overfitting and few validation images raise none: each rule asks
for a significant and for a large difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from app.metrics.accuracy import Validated, ranking_accuracy

Concern = Literal["at_chance", "loss_ran_away", "best_early"]

ALPHA = 0.05  # of the two one-sided tests of `is_at_chance`
LOSS_RISE = 5  # times its lowest value
LOSS_ABOVE_GUESSING = 3  # times ln(classes)
LATE = 0.25  # share of the epochs, at the end, in which the best accuracy is not early
MIN_EPOCHS_SINCE_BEST = 3
STANDARD_ERRORS = 3  # a plateau's highest of many epochs is often 2 above its end


def find_concern(
    curve: Sequence[Validated], images: int | None, classes: int | None, *, predicts_one_class: bool = False
) -> Concern | None:
    """`curve`: the shown epochs in order. `images`: of the validation split, `classes`: their number; None: not known.
    `predicts_one_class`: whether the last epoch predicts the same class for every validation image.
    """
    if not curve or not images or not classes or classes < 2:
        return None
    accuracies = [(epoch.epoch, share) for epoch in curve if (share := ranking_accuracy(epoch)) is not None]
    if accuracies and (predicts_one_class or is_at_chance(accuracies[-1][1], images, classes)):
        return "at_chance"
    validated = [epoch.val_loss for epoch in curve if epoch.val_accuracy is not None]
    if any(has_run_away(losses, classes) for losses in ([epoch.train_loss for epoch in curve], validated)):
        return "loss_ran_away"
    return "best_early" if is_best_early(accuracies, images) else None


def is_at_chance(accuracy: float, images: int, classes: int) -> bool:
    """Whether a share of `images` right is that of guessing among `classes`.

    By two exact one-sided binomial tests: it is not significantly above 1 / classes, and it is significantly below
    half of the way from there to 1, so that a few images that cannot tell are no evidence.
    """
    from scipy import stats

    guess = 1 / classes
    halfway, right = (1 + guess) / 2, round(accuracy * images)
    if accuracy >= halfway or stats.binom.cdf(right, images, halfway) > ALPHA:
        return False
    return bool(stats.binom.sf(right - 1, images, guess) > ALPHA)


def has_run_away(losses: Sequence[float | None], classes: int) -> bool:
    """Whether the last loss is no number, or LOSS_RISE times the lowest and LOSS_ABOVE_GUESSING times ln(classes), the
    cross-entropy of equal probabilities (with label smoothing and mixup as well).

    Both, because validation loss rises while accuracy still improves: Guo et al., On Calibration of Modern Neural
    Networks, 2017, section 3.
    """
    known = [loss for loss in losses if loss is not None]
    if not known:
        return False
    last = losses[-1]
    return last is None or last > max(LOSS_RISE * min(known), LOSS_ABOVE_GUESSING * math.log(classes))


def is_best_early(accuracies: Sequence[tuple[int, float]], images: int) -> bool:
    """Whether all accuracies in the last quarter of the epochs are significantly below the best, which came before.

    `accuracies`: (epoch, share), in order. The difference is compared with its standard error: the binomial one of
    `images` and, twice, the spread from epoch to epoch since the best: the median absolute deviation of the changes,
    so that neither a trend nor a collapse counts as spread. Simulated plateaus are marked in less than 1 %
    (tests/app/metrics/test_concerns.py).
    """
    if not accuracies:
        return False
    epochs, shares = (np.array(column) for column in zip(*accuracies, strict=True))
    best = int(np.argmax(shares))
    first_late = epochs[-1] * (1 - LATE)
    if epochs[best] > first_late or epochs[-1] - epochs[best] < MIN_EPOCHS_SINCE_BEST:
        return False
    highest, late = float(shares[best]), float(shares[epochs > first_late].max())
    changes = np.diff(shares[best:])
    spread = 1.4826 * float(np.median(np.abs(changes - np.median(changes)))) / math.sqrt(2)  # 1.4826: of a normal sd
    variance = 2 * spread**2 + (highest * (1 - highest) + late * (1 - late)) / images
    return highest - late > STANDARD_ERRORS * math.sqrt(variance)


class Result(Protocol):
    """The columns of a run that a sentence on its concern needs."""

    concern: Concern | None
    last_epoch: int
    last_val_accuracy: float | None
    best_epoch: int | None
    best_val_accuracy: float | None
    val_images: int | None
    classes: int | None


def describe_concern(run: Result) -> str | None:
    """A sentence; None for a run without a concern."""
    last, best = _percent(run.last_val_accuracy), f"{_percent(run.best_val_accuracy)} in epoch {run.best_epoch}"
    match run.concern:
        case "at_chance":
            return f"It is no better than guessing: {_describe_guessing(run)}."
        case "loss_ran_away":
            return (
                f"Its loss ran away: in the last epoch it is more than {LOSS_RISE} times its lowest and more than "
                f"{LOSS_ABOVE_GUESSING} times that of guessing, or no number at all."
            )
        case "best_early":
            return f"Its best epoch lies long before its end: {best}, {last} in epoch {run.last_epoch}."
    return None


def _describe_guessing(run: Result) -> str:
    last, best, images, classes = run.last_val_accuracy, run.best_val_accuracy, run.val_images, run.classes
    if last is None or not images or not classes or not is_at_chance(last, images, classes):
        return "after the last epoch it predicts the same class for every validation image"
    text = f"{_percent(last)} of {images:,} validation images are right, guessing gets {_percent(1 / classes)}"
    if best is None or is_at_chance(best, images, classes):
        return text
    return f"{text}; its best was {_percent(best)} in epoch {run.best_epoch}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.2f}\u202f%"
