"""A model's forward pass in NumPy, computed from its list of layers: for a few images, without loading a framework.

Gives the same numbers as Keras in inference, up to rounding (a test compares them).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.models.layers import Layer

Floats = NDArray[np.float32]

_erf: Any = np.vectorize(math.erf, otypes=[np.float32])  # NumPy has none


def forward(layers: Sequence[Layer], weights: Mapping[str, NDArray[Any]], pictures: Floats) -> Floats:
    """The output of the last layer, (b, classes), for normalised `pictures` (b, side, side, 3).

    `weights`: by "<layer>/<weight>", as in the file of the best weights. Raises KeyError if one is missing.
    """
    given = {layers[0].name: pictures.astype(np.float32)}
    for layer in layers[1:]:
        given[layer.name] = _apply_layer(layer, weights, *(given[name] for name in layer.inputs))
    return given[layers[-1].name]


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), dtype=np.float32)


def _apply_layer(layer: Layer, weights: Mapping[str, NDArray[Any]], x: Floats, *others: Floats) -> Floats:
    knobs, name = layer.knobs, layer.name
    made: Floats
    match layer.kind:
        case "conv":
            made = _convolve(x, weights[f"{name}/kernel"], knobs["padding"])
            return (made + weights[f"{name}/bias"]).astype(np.float32) if knobs["has_bias"] else made
        case "batch_norm":
            factor = 1 / np.sqrt(weights[f"{name}/moving_variance"] + np.float32(knobs["epsilon"]))
            if knobs["is_scaled"]:
                factor = factor * weights[f"{name}/gamma"]
            made = (x - weights[f"{name}/moving_mean"]) * factor + weights[f"{name}/beta"]
            return made
        case "activation":
            return _activate(x, knobs)
        case "max_pool":
            size, (count, height, width, channels) = knobs["size"], x.shape
            rows, columns = height // size, width // size
            cut = x[:, : rows * size, : columns * size]
            made = cut.reshape(count, rows, size, columns, size, channels).max(axis=(2, 4))
            return made
        case "identity" | "dropout":
            return x
        case "add":
            return x + others[0]
        case "flatten":
            return x.reshape(len(x), -1)
        case "dense":
            made = x @ weights[f"{name}/kernel"]
            return made
        case "scale":
            return x * np.float32(knobs["factor"])
    raise ValueError(f"unknown kind of layer: {layer.kind}")


def _convolve(x: Floats, kernel: NDArray[Any], padding: str) -> Floats:
    """Stride 1. `kernel`: (rows, columns, inputs, outputs)."""
    rows, columns = kernel.shape[:2]
    if padding == "same":  # for an even size, the extra padding goes below and to the right
        around = [((size - 1) // 2, size - 1 - (size - 1) // 2) for size in (rows, columns)]
        x = np.pad(x, [(0, 0), *around, (0, 0)])
    windows = sliding_window_view(x, (rows, columns), axis=(1, 2))  # (b, height, width, inputs, rows, columns)
    made: Floats = np.tensordot(windows, kernel.astype(np.float32), axes=((4, 5, 3), (0, 1, 2)))
    return made


def _activate(x: Floats, knobs: Mapping[str, Any]) -> Floats:
    match knobs["function"]:
        case "relu":
            return np.maximum(x, 0)
        case "celu":
            alpha = np.float32(knobs["alpha"])
            return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)
        case "gelu":
            return np.asarray(x * (1 + _erf(x / np.float32(math.sqrt(2)))) / 2, dtype=np.float32)
    raise ValueError(f"there is no activation {knobs['function']!r}")
