"""Makes trainer/data/digits.npz from scikit-learn's copy of the handwritten digits; run once, its output is kept.

    uv venv /tmp/digits && uv pip install --python /tmp/digits/bin/python scikit-learn
    /tmp/digits/bin/python benchmarks/training/pack_digits.py

Stored: `images` uint8 (1797, 8, 8) with ink 0..16, `labels` uint8 (1797,), both in the published order, and
`validation` int64 (300,): the numbers of 30 pictures of each digit, drawn once with NumPy's PCG64(0).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

PER_CLASS = 30
DESTINATION = Path(__file__).parents[2] / "trainer" / "data" / "digits.npz"


def main() -> None:
    digits = import_module("sklearn.datasets").load_digits()
    labels = digits.target.astype(np.uint8)
    generator = np.random.Generator(np.random.PCG64(0))
    held_out = [generator.choice(np.flatnonzero(labels == digit), PER_CLASS, replace=False) for digit in range(10)]
    np.savez_compressed(
        DESTINATION,
        images=digits.images.astype(np.uint8),
        labels=labels,
        validation=np.sort(np.concatenate(held_out)).astype(np.int64),
    )
    print(f"{DESTINATION}: {DESTINATION.stat().st_size:,} bytes, {len(labels)} pictures")


if __name__ == "__main__":
    main()
