"""The filters that whiten small patches of images, computed once before a run with NumPy."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.augment.normalisation import Images, PerChannel, normalise
from trainer.models import airbench
from trainer.models.resnet9 import PATCH
from trainer.recipe.network import Airbench, ResNet9

SAMPLE, EPSILON = 10_000, 1e-2  # images that Page's notebook uses; limits the scale of directions with little variance
AIRBENCH_SAMPLE, AIRBENCH_EPSILON = 5_000, 5e-4  # the same in airbench94


def compute_filters(
    knobs: ResNet9 | Airbench, images: Images, normal: tuple[PerChannel, PerChannel]
) -> NDArray[np.float32] | None:
    """The kernel of the model's frozen convolution, from training `images`; None if the model has none."""
    if isinstance(knobs, Airbench):
        return signed_whitening_filters(normalise(images[:AIRBENCH_SAMPLE], *normal))
    return whitening_filters(normalise(images[:SAMPLE], *normal)) if knobs.whiten else None


def whitening_filters(pictures: NDArray[np.float32], epsilon: float = EPSILON) -> NDArray[np.float32]:
    """Kernel float32 (3, 3, 3, 27) whose outputs on `pictures` are nearly uncorrelated with variance 1.

    `pictures`: float32 (n, side, side, 3), normalised, not augmented. Filter k is eigenvector k of the
    patches' covariance over sqrt(eigenvalue + epsilon), the largest eigenvalue first.
    David Page, bag_of_tricks.ipynb (github.com/davidcpage/cifar10-fast), `eigens` and `whitening_block`.
    """
    second, mean = _moments(pictures, PATCH)
    return _whitening_kernel(second - np.outer(mean, mean), PATCH, epsilon)


def signed_whitening_filters(pictures: NDArray[np.float32], epsilon: float = AIRBENCH_EPSILON) -> NDArray[np.float32]:
    """Kernel float32 (2, 2, 3, 24): the same for 2 x 2 patches, each filter with both signs.

    Uses the patches' second moments without subtracting their mean: `init_whitening_conv` of airbench94.py.
    """
    second, _ = _moments(pictures, airbench.PATCH)
    kernel = _whitening_kernel(second, airbench.PATCH, epsilon)
    return np.concatenate([kernel, -kernel], axis=-1)


def _moments(pictures: NDArray[np.float32], patch: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the patches' outer products (d, d), and of the patches (d,), d = patch · patch · 3."""
    size = patch * patch * 3
    second, mean, count = np.zeros((size, size)), np.zeros(size), 0
    for at in range(0, len(pictures), 500):
        windows = sliding_window_view(pictures[at : at + 500], (patch, patch), axis=(1, 2))
        # (n, rows, columns, channel, y, x) to one row per patch, ordered (y, x, channel) as a kernel is
        rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size).astype(np.float64)
        second += rows.T @ rows
        mean += rows.sum(axis=0)
        count += len(rows)
    return second / count, mean / count


def _whitening_kernel(covariance: NDArray[np.float64], patch: int, epsilon: float) -> NDArray[np.float32]:
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors[:, ::-1] / np.sqrt(np.maximum(values[::-1], 0) + epsilon)
    kernel: NDArray[np.float32] = scaled.reshape(patch, patch, 3, len(values)).astype(np.float32)
    return kernel
