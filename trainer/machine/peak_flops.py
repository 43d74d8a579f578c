"""Peak floating-point operations per second of a GPU, by its data sheet.

The share of it that a run achieves is its MFU (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B). So a peak stands
here only if no training can exceed it. A CPU has none: its data sheet states no FLOP/s, and a measured matrix product
is no bound, because convolutions by Winograd's method do the same work with up to four times fewer operations (Lavin
and Gray, arXiv 1509.09308). For the same reason, float32 has a peak only on cards whose tensor cores (TF32) are at
least four times as fast as their other units, on which such convolutions run.
"""

from __future__ import annotations

import re

# NVIDIA's data sheets: tensor cores, dense.
GPUS: dict[str, dict[str, float]] = {
    "H200": {"bfloat16": 989e12, "float32": 495e12},
    "H100 PCIe": {"bfloat16": 756e12, "float32": 378e12},
    "H100": {"bfloat16": 989e12, "float32": 495e12},
    "A100": {"bfloat16": 312e12, "float32": 156e12},
    "A10": {"bfloat16": 125e12},
    "L40S": {"bfloat16": 362e12},
    "L4": {"bfloat16": 121e12},
    "RTX 4090": {"bfloat16": 165e12},
    "RTX 3090": {"bfloat16": 71e12},
}


def peak_flops(device: str, precision: str) -> float | None:
    """FLOP/s; None: not known. `device`: the engine's name for it. `precision`: of convolutions."""
    names = [name for name in GPUS if all(re.search(rf"\b{word}\b", device) for word in name.split())]
    return GPUS[max(names, key=len)].get(precision) if names else None
