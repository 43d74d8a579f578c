"""The filters that whiten small patches of pictures: NumPy only, computed once before a run."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.augment.normalisation import PerChannel, Pictures, normalised
from trainer.models.resnet9 import PATCH, PATCH_FILTERS
from trainer.recipe_model import ResNet9

SAMPLE = 10_000  # pictures that Page's notebook looks at
EPSILON = 1e-2  # keeps directions in which nothing varies from being blown up


def filters_of(knobs: ResNet9, images: Pictures, normal: tuple[PerChannel, PerChannel]) -> NDArray[np.float32] | None:
    """The kernel of the net's frozen convolution, from training `images`; None where the net has none."""
    return whitening_filters(normalised(images[:SAMPLE], *normal)) if knobs.whiten else None


def whitening_filters(pictures: NDArray[np.float32], epsilon: float = EPSILON) -> NDArray[np.float32]:
    """Kernel float32 (3, 3, 3, 27) whose outputs on `pictures` are nearly uncorrelated with variance 1.

    `pictures`: float32 (n, side, side, 3), normalised, not augmented. Filter k is eigenvector k of the
    patches' covariance over sqrt(eigenvalue + epsilon), the largest eigenvalue first.
    David Page, bag_of_tricks.ipynb (github.com/davidcpage/cifar10-fast), `eigens` and `whitening_block`.
    """
    covariance = np.zeros((PATCH_FILTERS, PATCH_FILTERS))
    mean, count = np.zeros(PATCH_FILTERS), 0
    for at in range(0, len(pictures), 500):
        windows = sliding_window_view(pictures[at : at + 500], (PATCH, PATCH), axis=(1, 2))
        # (n, rows, columns, channel, y, x) to one row per patch, ordered (y, x, channel) as a kernel is
        rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, PATCH_FILTERS).astype(np.float64)
        covariance += rows.T @ rows
        mean += rows.sum(axis=0)
        count += len(rows)
    mean /= count
    values, vectors = np.linalg.eigh(covariance / count - np.outer(mean, mean))
    scaled = vectors[:, ::-1] / np.sqrt(np.maximum(values[::-1], 0) + epsilon)
    kernel: NDArray[np.float32] = scaled.reshape(PATCH, PATCH, 3, PATCH_FILTERS).astype(np.float32)
    return kernel
