"""Whitening filters against the covariance of patches that are cut out one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from trainer.data import digits
from trainer.models.whitening import EPSILON, signed_whitening_filters, whitening_filters


def patches(pictures: np.ndarray) -> np.ndarray:
    """Every 3 x 3 patch of every picture as a row of 27 numbers in the order (y, x, channel) of a kernel."""
    n, height, width, _ = pictures.shape
    rows = []
    for i, top, left in itertools.product(range(n), range(height - 2), range(width - 2)):
        rows.append([pictures[i, top + y, left + x, c] for y in range(3) for x in range(3) for c in range(3)])
    return np.array(rows, dtype=np.float64)


def coloured(n: int, side: int) -> np.ndarray:
    """Noise whose neighbours and channels go together, as in a photograph; float32 (n, side, side, 3)."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(n, side + 2, side + 2, 3))
    smooth = sum(noise[:, y : y + side, x : x + side] for y in range(3) for x in range(3)) / 3
    return (smooth @ generator.normal(size=(3, 3)) + [0.5, 0.2, -1]).astype(np.float32)


def handwritten(n: int) -> np.ndarray:
    """Real pictures; all three channels are the same, so that 18 of 27 directions never vary."""
    return digits.read()[0][:n].astype(np.float32) / 255


@pytest.mark.parametrize("pictures", [coloured(40, 8), handwritten(5)], ids=["coloured", "handwritten"])
@pytest.mark.parametrize("epsilon", [EPSILON, 1.0])
def test_outputs_are_uncorrelated_and_as_large_as_their_eigenvalue_allows(pictures: np.ndarray, epsilon: float):
    rows = patches(pictures)
    kernel = whitening_filters(pictures, epsilon)
    assert kernel.shape == (3, 3, 3, 27)
    assert kernel.dtype == np.float32
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True)))[::-1]
    outputs = np.cov(rows @ kernel.reshape(27, 27), rowvar=False, bias=True)
    np.testing.assert_allclose(np.diag(outputs), eigenvalues / (eigenvalues + epsilon), atol=1e-5)
    np.testing.assert_allclose(outputs - np.diag(np.diag(outputs)), 0, atol=1e-5)


def test_filters_are_orthogonal_and_their_lengths_come_from_the_eigenvalues():
    pictures = coloured(40, 8)
    filters = whitening_filters(pictures).reshape(27, 27).astype(np.float64)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(patches(pictures), rowvar=False, bias=True)))[::-1]
    np.testing.assert_allclose(filters.T @ filters, np.diag(1 / (eigenvalues + EPSILON)), atol=1e-4)


def test_a_direction_in_which_nothing_varies_is_not_blown_up():
    kernel = whitening_filters(np.full((3, 8, 8, 3), 0.7, dtype=np.float32))
    lengths = np.linalg.norm(kernel.reshape(27, 27), axis=0)
    np.testing.assert_allclose(lengths, 1 / np.sqrt(EPSILON), rtol=1e-4)


def test_more_pictures_than_are_looked_at_at_once_all_count():
    pictures = coloured(1100, 5)
    pictures[1000:] *= 3  # the last part is unlike the others
    rows = patches(pictures)
    outputs = np.cov(rows @ whitening_filters(pictures).reshape(27, 27), rowvar=False, bias=True)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True)))[::-1]
    np.testing.assert_allclose(outputs, np.diag(eigenvalues / (eigenvalues + EPSILON)), atol=1e-5)


def test_the_kernel_meets_a_picture_as_a_convolution_without_mirroring():
    """Entry (y, x, channel) weighs the pixel y rows below and x columns right of the patch's corner."""
    pictures = coloured(40, 8)
    kernel = whitening_filters(pictures)
    slid = np.zeros((40, 6, 6, 27))
    for y, x, channel in itertools.product(range(3), range(3), range(3)):
        slid += pictures[:, y : y + 6, x : x + 6, channel, None] * kernel[y, x, channel]
    outputs = np.cov(slid.reshape(-1, 27), rowvar=False, bias=True)
    np.testing.assert_allclose(outputs - np.diag(np.diag(outputs)), 0, atol=1e-5)
    assert (np.diff(np.diag(outputs)) <= 1e-6).all()  # largest eigenvalue first


def test_airbench_s_filters_are_whitening_ones_of_small_patches_and_their_opposites():
    drawn = np.random.default_rng(4)
    pictures = (drawn.normal(size=(40, 32, 32, 3)).cumsum(axis=2) / 4).astype(np.float32)  # neighbours are alike
    kernel = signed_whitening_filters(pictures, epsilon=0)
    assert kernel.shape == (2, 2, 3, 24)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    small = sliding_window_view(pictures, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12)
    seen = small.astype(np.float64) @ kernel[..., :12].reshape(12, 12)
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.eye(12), atol=1e-3)
