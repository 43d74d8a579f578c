"""The embedded data set: 1,797 real handwritten digits of 8x8, enlarged to 32x32x3.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning
Repository, CC BY 4.0; the test half, as shipped by scikit-learn. benchmarks/training/pack_digits.py made the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLASSES = tuple("0123456789")
TRAIN_IMAGES, VAL_IMAGES = 1497, 300

_FILE = Path(__file__).with_name("digits.npz")


def read() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """(train_images, train_labels, val_images, val_labels): uint8 (n, 32, 32, 3) 0..255, int64 (n,).

    1,497 for training, 300 for validation (30 of each digit): a fixed split, in the published order, which mixes the
    digits.
    """
    with np.load(_FILE, allow_pickle=False) as stored:
        images, labels = enlarge(stored["images"]), stored["labels"].astype(np.int64)
        held_out = np.zeros(len(labels), dtype=np.bool_)
        held_out[stored["validation"]] = True
    return images[~held_out], labels[~held_out], images[held_out], labels[held_out]


def enlarge(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (n, 8, 8) with ink 0..16 to uint8 (n, 32, 32, 3) with 0..255, bilinear.

    Integer arithmetic gives every machine the same bytes and fingerprint: at a factor of 4 the weights are odd eighths.
    """
    weights = np.zeros((32, 8), dtype=np.int64)
    for row in range(32):
        eighths = 2 * row + 1 - 4  # source position of this row's centre, in eighths of a source pixel
        below, share = eighths // 8, eighths % 8
        weights[row, max(below, 0)] += 8 - share
        weights[row, min(below + 1, 7)] += share
    drawn_up = np.einsum("rh,nhw,cw->nrc", weights, ink.astype(np.int64), weights, optimize=True)
    grey = (drawn_up * 255 + 512) // 1024  # 16 levels of ink, 8 x 8 eighths; rounded to the nearest
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=3)
