"""Peak floating-point operations per second of a device: GPUs by their data sheet, a CPU measured.

The share of it that a run achieves is its MFU (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

import re
from functools import cache
from time import perf_counter

import numpy as np

# NVIDIA's data sheets: dense; tensor cores from Ampere on (where float32 convolutions run as TF32).
GPUS: dict[str, dict[str, float]] = {
    "H200": {"bfloat16": 989e12, "float32": 495e12},
    "H100 PCIe": {"bfloat16": 756e12, "float32": 378e12},
    "H100": {"bfloat16": 989e12, "float32": 495e12},
    "A100": {"bfloat16": 312e12, "float32": 156e12},
    "A10": {"bfloat16": 125e12, "float32": 62.5e12},
    "L40S": {"bfloat16": 362e12, "float32": 183e12},
    "L4": {"bfloat16": 121e12, "float32": 60e12},
    "RTX 4090": {"bfloat16": 165e12, "float32": 82.6e12},
    "RTX 3090": {"bfloat16": 71e12, "float32": 35.6e12},
    "V100": {"float32": 15.7e12},
    "T4": {"float32": 8.1e12},
}
SIDE, ROUNDS = 1024, 4  # matrix products to measure a CPU: 2 GFLOP each


def peak_flops(device: str, precision: str) -> tuple[float, str] | None:
    """(FLOP/s, "datasheet" or "measured"); None for a GPU that is not in the table. `device`: the engine's name."""
    if device == "cpu":
        return _measure_cpu(), "measured"
    names = [name for name in GPUS if all(re.search(rf"\b{word}\b", device) for word in name.split())]
    found = GPUS[max(names, key=len)].get(precision) if names else None
    return None if found is None else (found, "datasheet")


@cache
def _measure_cpu() -> float:
    """The fastest of a few float32 matrix products in NumPy, on all cores of this process."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    took = []
    for _ in range(ROUNDS):
        began = perf_counter()
        matrix @ matrix
        took.append(perf_counter() - began)
    return 2 * SIDE**3 / min(took)
