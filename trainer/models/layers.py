"""A model as data: its layers in order, each with inputs, output shape, parameters and cost.

Keras builds the model from this list (trainer/engine/model.py) and the web process draws it, so the two cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "input", "conv", "batch_norm", "activation", "max_pool", "identity", "dropout", "add", "flatten", "dense", "scale"
]
Shape = tuple[int, ...]  # without the batch: (height, width, channels) or (features,)


@dataclass(frozen=True)
class Layer:
    """One layer. `knobs` are the settings of its kind: filters and size of a conv, rate of a dropout, …"""

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: Shape  # of its output
    block: str  # the part of the model that it belongs to, for drawings
    knobs: dict[str, Any] = field(default_factory=dict)
    trainable: int = 0  # parameters that are trained
    frozen: int = 0  # parameters that are not: running statistics, whitening filters
    macs: int = 0  # multiply-adds of one image's forward pass, without element-wise operations
    has_input_gradient: bool = True  # whether the backward pass needs the gradient of its input

    @property
    def parameters(self) -> int:
        return self.trainable + self.frozen

    @property
    def flops(self) -> int:
        """Floating-point operations of one image's forward pass: 2 per multiply-add."""
        return 2 * self.macs

    @property
    def training_flops(self) -> int:
        """Forward and backward pass: the same again for the weights' gradient, and again for the input's."""
        return self.flops * (1 + bool(self.trainable) + self.has_input_gradient)


@dataclass(frozen=True)
class Totals:
    trainable: int
    frozen: int
    flops: int  # forward, one image
    training_flops: int  # forward and backward, one image

    @property
    def parameters(self) -> int:
        return self.trainable + self.frozen


def compute_totals(layers: Sequence[Layer]) -> Totals:
    return Totals(
        sum(layer.trainable for layer in layers),
        sum(layer.frozen for layer in layers),
        sum(layer.flops for layer in layers),
        sum(layer.training_flops for layer in layers),
    )


class Stack:
    """Collects layers, each on top of the previous one."""

    def __init__(self, side: int, channels: int, name: str) -> None:
        self.layers = [Layer(name, "input", (), (side, side, channels), "input")]
        self.block = ""

    @property
    def top(self) -> Layer:
        return self.layers[-1]

    def conv(
        self,
        name: str,
        filters: int,
        size: int = 3,
        *,
        is_frozen: bool = False,
        has_bias: bool = False,
        passes_on: bool = False,
        padding: Literal["same", "valid"] = "same",
    ) -> None:
        """Stride 1. `is_frozen`: its kernel is not trained; `passes_on`: its first filters start as identities."""
        height, width, channels = self.top.shape
        if padding == "valid":
            height, width = height - size + 1, width - size + 1
        weights, biases = size * size * channels * filters, filters * has_bias
        self._add(
            Layer(
                name,
                "conv",
                (self.top.name,),
                (height, width, filters),
                self.block,
                {
                    "filters": filters,
                    "size": size,
                    "is_frozen": is_frozen,
                    "has_bias": has_bias,
                    "passes_on": passes_on,
                    "padding": padding,
                },
                trainable=biases + (0 if is_frozen else weights),
                frozen=weights if is_frozen else 0,
                macs=weights * height * width,
                # no layer below the first trained one is trained, so its input's gradient is not computed
                has_input_gradient=any(layer.trainable for layer in self.layers),
            )
        )

    def batch_norm(self, name: str, *, is_scaled: bool, **knobs: Any) -> None:
        channels = self.top.shape[-1]
        learned = (2 if is_scaled else 1) * channels  # scale, shift
        self._add_same_shape(
            name, "batch_norm", {"is_scaled": is_scaled, **knobs}, trainable=learned, frozen=2 * channels
        )

    def activation(self, name: str, function: str, **knobs: Any) -> None:
        self._add_same_shape(name, "activation", {"function": function, **knobs})

    def identity(self, name: str) -> None:
        self._add_same_shape(name, "identity", {})

    def dropout(self, name: str, rate: float) -> None:
        self._add_same_shape(name, "dropout", {"rate": rate})

    def max_pool(self, name: str, size: int) -> None:
        height, width, channels = self.top.shape
        shape = (height // size, width // size, channels)
        self._add(Layer(name, "max_pool", (self.top.name,), shape, self.block, {"size": size}))

    def add(self, name: str, first: str) -> None:
        self._add(Layer(name, "add", (first, self.top.name), self.top.shape, self.block))

    def flatten(self, name: str) -> None:
        self._add(Layer(name, "flatten", (self.top.name,), (math.prod(self.top.shape),), self.block))

    def dense(self, name: str, units: int) -> None:
        """No bias."""
        weights = self.top.shape[0] * units
        made = Layer(name, "dense", (self.top.name,), (units,), self.block, {"units": units}, weights, macs=weights)
        self._add(made)

    def scale(self, name: str, factor: float) -> None:
        self._add_same_shape(name, "scale", {"factor": factor})

    def _add_same_shape(
        self, name: str, kind: Kind, knobs: dict[str, Any], trainable: int = 0, frozen: int = 0
    ) -> None:
        self._add(Layer(name, kind, (self.top.name,), self.top.shape, self.block, knobs, trainable, frozen))

    def _add(self, layer: Layer) -> None:
        self.layers.append(layer)
