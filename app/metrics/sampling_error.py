"""The error of an accuracy that comes from being measured on these n images and no others.

It says what to expect on other images of the same kind. The spread over seeds answers another question: what to expect
of another training, on these images. Much of that spread is chance of the images, too: Jordan, On the Variance of
Neural Network Training with respect to Test Sets and Distributions, ICLR 2024.
"""

from __future__ import annotations

import math


def standard_error(accuracy: float | None, images: int | None) -> float | None:
    """sqrt(p (1 - p) / n), the binomial standard error, a share; None if one of them is not known.

    For the mean accuracy of several runs: that of one of them, and so the largest that the mean can have.
    """
    if accuracy is None or not images:
        return None
    return math.sqrt(max(accuracy * (1 - accuracy), 0) / images)


def share_interval(accuracy: float | None, images: int | None) -> tuple[float, float] | None:
    """95 % confidence interval of the share of all such images that this model gets right, by Clopper and Pearson
    (scipy.stats.binomtest, `exact`); None if one of them is not known.
    """
    if accuracy is None or not images:
        return None
    from scipy import stats

    interval = stats.binomtest(round(accuracy * images), images).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)
