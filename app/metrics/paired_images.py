"""Two recipes compared image by image: both were measured on the same images, so their difference is taken on each.

Two questions, two intervals. On other images of the same kind, how would these very models differ? On these images,
how would other seeds differ? Images that both get right or both get wrong say nothing about the first question: so the
paired interval is shorter than that of two accuracies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.metrics.sampling_error import standard_error

LEVEL = 0.95  # of all intervals
SMALLEST_SHOWN = 0.5e-4  # a share: less is 0.00 points

Correct = NDArray[np.bool_]  # (runs, images): whether a run predicts the class of an image correctly


@dataclass(frozen=True)
class PairedComparison:
    """Shares: 0.01 is one percentage point. Differences are left minus right."""

    images: int
    runs: tuple[int, int]
    accuracy: tuple[float, float]  # means over the runs
    difference: float
    on_other_images: tuple[float, float]  # 95 % confidence interval
    on_other_seeds: tuple[float, float] | None  # the same; None: a side has a single run
    only: tuple[int, int]  # images that only the one, and only the other predicts correctly; one run a side
    mcnemar_p: float | None  # of McNemar's exact test; None: a side has several runs


def compare_images(left: Correct, right: Correct) -> PairedComparison:
    """Raises ValueError for no runs, no images, or different numbers of images."""
    if left.ndim != 2 or right.ndim != 2 or 0 in left.shape + right.shape or left.shape[1] != right.shape[1]:
        raise ValueError(f"runs and images of {left.shape} and {right.shape}")
    shares = left.mean(axis=0), right.mean(axis=0)
    changes = shares[0] - shares[1]
    is_one_a_side = len(left) == len(right) == 1
    only = int((changes > 0).sum()), int((changes < 0).sum())
    return PairedComparison(
        images=left.shape[1],
        runs=(len(left), len(right)),
        accuracy=(float(left.mean()), float(right.mean())),
        difference=float(left.mean() - right.mean()),
        on_other_images=_interval_over_images(changes),
        on_other_seeds=_interval_over_seeds(left.mean(axis=1), right.mean(axis=1), left.shape[1]),
        only=only,
        mcnemar_p=mcnemar_p(*only) if is_one_a_side else None,
    )


def mcnemar_p(only_left: int, only_right: int) -> float:
    """McNemar's exact test of two models on the same images: under the null hypothesis an image that only one of them
    predicts correctly is as likely the one's as the other's (two-sided binomial). Source: Dietterich, Approximate
    Statistical Tests for Comparing Supervised Classification Learning Algorithms, 1998, section 3.1.
    """
    if only_left + only_right == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(only_left, only_left + only_right).pvalue)


def describe_paired(found: PairedComparison, left: str, right: str) -> str:
    """What the comparison says, and which question each interval answers. Its differences are those of the better side
    minus the other."""
    is_left_better = found.difference >= 0
    first, second = (left, right) if is_left_better else (right, left)
    share, images = abs(found.difference), f"{found.images:,} images"
    text = f"{first} is more accurate than {second} by {_points(share)} points on these {images}."
    if share < SMALLEST_SHOWN:
        text = f"{left} and {right} are equally accurate on these {images}."
    between = _describe_interval(found.on_other_images, is_left_better)
    text += f" On other images of the same kind, these models differ by {between}"
    if found.mcnemar_p is not None:
        text += f"; McNemar's exact test: p = {found.mcnemar_p:.2g}"
    if found.on_other_seeds is None:
        return f"{text}. What other seeds would give, a single run on a side cannot say."
    return f"{text}. On these images, other seeds differ by {_describe_interval(found.on_other_seeds, is_left_better)}."


def _interval_over_images(changes: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean of the changes, each -1 to 1, by Student's t, after adding half an image of each kind: both right,
    both wrong, only the one, only the other. Without these the interval is too short while few images differ. Source:
    Agresti and Min, Simple improved confidence intervals for comparing matched proportions, 2005.
    """
    n = len(changes) + 2
    mean = float(changes.sum()) / n
    variance = (float((changes**2).sum()) + 1) / n - mean**2
    return _clip(mean, _t_quantile(n - 1) * math.sqrt(variance / n))


def _interval_over_seeds(
    left: NDArray[np.float64], right: NDArray[np.float64], images: int
) -> tuple[float, float] | None:
    """Welch's, of the accuracies of runs. A side's deviation counts as at least the binomial one of its images: two or
    three runs may agree by chance, as accuracies are whole numbers of images."""
    if min(len(left), len(right)) < 2:
        return None
    variances = []
    for side in (left, right):
        floor = standard_error(float(side.mean()), images) or 0.0
        variances.append(max(float(side.var(ddof=1)), floor**2) / len(side))
    total, difference = sum(variances), float(left.mean() - right.mean())
    if total == 0:  # every run gets every image right, or none
        return difference, difference
    freedom = total**2 / sum(part**2 / (len(side) - 1) for part, side in zip(variances, (left, right), strict=True))
    return _clip(difference, _t_quantile(freedom) * math.sqrt(total))


def _t_quantile(freedom: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _clip(middle: float, half: float) -> tuple[float, float]:
    return max(middle - half, -1.0), min(middle + half, 1.0)


def _points(share: float) -> str:
    return f"{share * 100:.2f}".replace("-", "−")


def _describe_interval(interval: tuple[float, float], is_left_better: bool) -> str:
    low, high = interval if is_left_better else (-interval[1], -interval[0])
    return f"{_points(low)} to {_points(high)} points (95\u202f% confidence interval)"
