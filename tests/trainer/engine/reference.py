"""A training step in NumPy and float64, layer by layer, with its backward pass: the reference for the engine.

Written from the papers' formulas and from nothing of trainer/engine: convolutions as sums over windows, batch norm and
its gradient (Ioffe and Szegedy, arXiv 1502.03167), Keras' momentum, label smoothing, the three kinds of weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erf

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.models.layers import Layer
from trainer.recipe import Recipe

Array = NDArray[np.float64]
Back = Callable[[Array], Array]  # from the gradient of what a layer gives to that of what it takes
ERF = np.vectorize(erf)


@dataclass
class Step:
    """The results of a step, by names such as `Conv1/kernel`."""

    loss: float
    gradients: dict[str, Array]  # of the data loss alone
    statistics: dict[str, Array]  # running ones, afterwards
    weights: dict[str, Array]  # afterwards


def step(
    layers: Sequence[Layer], weights: dict[str, Array], images: Array, shares: Array, recipe: Recipe, rate: float
) -> Step:
    """One step with zero momenta. `weights` also holds the running statistics."""
    gradients: dict[str, Array] = {}
    statistics: dict[str, Array] = {}
    values, backs = {layers[0].name: images}, {}
    for layer in layers[1:]:
        taken = [values[name] for name in layer.inputs]
        values[layer.name], backs[layer.name] = _forward(layer, taken, weights, gradients, statistics)
    logits = values[layers[-1].name]
    smoothing = recipe.loss.label_smoothing
    targets = shares * (1 - smoothing) + smoothing / shares.shape[1]
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = raised / raised.sum(axis=1, keepdims=True)
    losses = -(targets * np.log(softmax)).sum(axis=1)

    flowing = {layers[-1].name: (softmax - targets) / len(images)}
    for layer in reversed(layers[1:]):
        back = backs[layer.name](flowing[layer.name])
        for name in layer.inputs:
            flowing[name] = flowing.get(name, 0.0) + back
    return Step(losses.mean(), gradients, statistics, _updated(weights, gradients, recipe, rate))


def _updated(weights: dict[str, Array], gradients: dict[str, Array], recipe: Recipe, rate: float) -> dict[str, Array]:
    """Keras' SGD (v = m·v - rate·g; w += v, or with Nesterov m·v - rate·g), from a velocity of 0."""
    knobs, after = recipe.optimizer, {}
    decay = knobs.weight_decay
    for name, gradient in gradients.items():
        weight = weights[name]
        is_decayed = decay.on == "all" or (name.endswith("kernel") and weight.ndim == 4)
        pull = {"l2": 2.0, "coupled": 1.0, "decoupled": 0.0}[decay.kind] * decay.value * is_decayed
        fast = knobs.bias_rate if name.endswith("beta") else 1.0
        velocity = -rate * (fast * gradient + pull * weight)
        if decay.kind == "decoupled" and is_decayed:
            weight = weight * (1 - rate * decay.value)
        after[name] = weight + (1 + knobs.momentum if knobs.nesterov else 1) * velocity
    return after


def _forward(
    layer: Layer,
    taken: list[Array],
    weights: dict[str, Array],
    gradients: dict[str, Array],
    statistics: dict[str, Array],
) -> tuple[Array, Back]:
    knobs, x, name = layer.knobs, taken[0], layer.name
    match layer.kind:
        case "conv":
            return _conv(layer, x, weights, gradients)
        case "batch_norm":
            return _batch_norm(layer, x, weights, gradients, statistics)
        case "activation":
            return _activation(knobs["function"], knobs.get("alpha", 1.0), x)
        case "max_pool":
            return _max_pool(knobs["size"], x)
        case "identity":
            return x, lambda given: given
        case "dropout":
            assert not knobs["rate"], "chance has no reference"
            return x, lambda given: given
        case "add":
            return taken[0] + taken[1], lambda given: given
        case "flatten":
            return x.reshape(len(x), -1), lambda given: given.reshape(x.shape)
        case "dense":
            kernel = weights[f"{name}/kernel"]

            def back(given: Array) -> Array:
                gradients[f"{name}/kernel"] = x.T @ given
                return given @ kernel.T

            return x @ kernel, back
        case "scale":
            return x * knobs["factor"], lambda given: given * knobs["factor"]
    raise AssertionError(layer.kind)


def _conv(layer: Layer, x: Array, weights: dict[str, Array], gradients: dict[str, Array]) -> tuple[Array, Back]:
    kernel, size = weights[f"{layer.name}/kernel"], layer.knobs["size"]
    pad = size // 2 if layer.knobs["padding"] == "same" else 0
    around = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    windows = sliding_window_view(np.pad(x, around), (size, size), axis=(1, 2))  # (b, row, column, channel, y, x)
    given_out = np.einsum("brciyx,yxio->brco", windows, kernel, optimize=True)
    if layer.knobs["has_bias"]:
        given_out = given_out + weights[f"{layer.name}/bias"]

    def back(given: Array) -> Array:
        if not layer.knobs["is_frozen"]:
            gradients[f"{layer.name}/kernel"] = np.einsum("brciyx,brco->yxio", windows, given, optimize=True)
        if layer.knobs["has_bias"]:
            gradients[f"{layer.name}/bias"] = given.sum(axis=(0, 1, 2))
        rim = size - 1 - pad
        spread = sliding_window_view(np.pad(given, ((0, 0), (rim, rim), (rim, rim), (0, 0))), (size, size), axis=(1, 2))
        flowing: Array = np.einsum("brcoyx,yxio->brci", spread, kernel[::-1, ::-1], optimize=True)
        return flowing

    return given_out, back


def _batch_norm(
    layer: Layer, x: Array, weights: dict[str, Array], gradients: dict[str, Array], statistics: dict[str, Array]
) -> tuple[Array, Back]:
    knobs, name = layer.knobs, layer.name
    groups = x.reshape(-1, knobs["ghost_batch"] or len(x), *x.shape[1:])
    mean, variance = groups.mean(axis=(1, 2, 3), keepdims=True), groups.var(axis=(1, 2, 3), keepdims=True)
    kept = knobs["momentum"]
    for moving, now in (("moving_mean", mean), ("moving_variance", variance)):
        statistics[f"{name}/{moving}"] = kept * weights[f"{name}/{moving}"] + (1 - kept) * now.mean(axis=0).reshape(-1)
    root = np.sqrt(variance + knobs["epsilon"])
    normal = (groups - mean) / root
    gamma = weights[f"{name}/gamma"] if knobs["is_scaled"] else np.ones(x.shape[-1])

    def back(given: Array) -> Array:
        grouped = given.reshape(groups.shape)
        gradients[f"{name}/beta"] = grouped.sum(axis=(0, 1, 2, 3))
        if knobs["is_scaled"]:
            gradients[f"{name}/gamma"] = (grouped * normal).sum(axis=(0, 1, 2, 3))
        inner = grouped * gamma
        centred = inner - inner.mean(axis=(1, 2, 3), keepdims=True)
        flowing: Array = (centred - normal * (inner * normal).mean(axis=(1, 2, 3), keepdims=True)) / root
        return flowing.reshape(x.shape)

    return (normal * gamma + weights[f"{name}/beta"]).reshape(x.shape), back


def _activation(function: str, alpha: float, x: Array) -> tuple[Array, Back]:
    if function == "relu":
        return np.maximum(x, 0), lambda given: given * (x > 0)
    if function == "celu":
        low = alpha * (np.exp(np.minimum(x, 0) / alpha) - 1)
        return np.where(x > 0, x, low), lambda given: given * np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha))
    share = 0.5 * (1 + ERF(x / np.sqrt(2)))  # gelu, exact
    slope = share + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return x * share, lambda given: given * slope


def _max_pool(size: int, x: Array) -> tuple[Array, Back]:
    height, width = (side // size for side in x.shape[1:3])
    inner = x[:, : height * size, : width * size]
    tiles = inner.reshape(len(x), height, size, width, size, -1)
    most = tiles.max(axis=(2, 4), keepdims=True)

    def back(given: Array) -> Array:
        spread = np.zeros_like(x)
        share = (tiles == most) * given[:, :, None, :, None]
        spread[:, : height * size, : width * size] = share.reshape(inner.shape)
        return spread

    return most[:, :, 0, :, 0], back
