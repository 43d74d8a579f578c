"""From a list of layers to a Keras model. Keras only: must not know which backend runs it or how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers as kl
from keras import ops
from numpy.typing import NDArray

from trainer.models.layers import Layer

# PyTorch's default for convolutions and linear layers: U(±1/sqrt(fan_in)), a variance of 1 / (3 · fan_in).
PYTORCH = {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}


def build(
    layers: Sequence[Layer], init: Literal["keras", "pytorch"], whitening: NDArray[np.float32] | None = None
) -> keras.Model:
    """Pictures (b, side, side, 3) float32 to the last layer's output, float32.

    `whitening`: the kernel of the frozen convolution, where the layers have one.
    """
    first = layers[0]
    given = {first.name: keras.Input(first.shape, name=first.name)}
    for layer in layers[1:]:
        taken = [given[name] for name in layer.inputs]
        given[layer.name] = _made(layer, init)(taken if len(taken) > 1 else taken[0])
    model = keras.Model(given[first.name], given[layers[-1].name], name="resnet9")
    for layer in layers:
        if layer.knobs.get("is_frozen"):
            assert whitening is not None
            model.get_layer(layer.name).set_weights([whitening])
    return model


def _made(layer: Layer, init: str) -> Any:
    knobs, name = layer.knobs, layer.name
    match layer.kind:
        case "conv":
            return kl.Conv2D(
                knobs["filters"],
                knobs["size"],
                padding="same",
                use_bias=False,
                kernel_initializer=_initializer(init),
                trainable=not knobs["is_frozen"],
                name=name,
            )
        case "batch_norm":
            settings = {"momentum": knobs["momentum"], "epsilon": knobs["epsilon"], "scale": knobs["is_scaled"]}
            if knobs["ghost_batch"]:
                return GhostBatchNorm(knobs["ghost_batch"], **settings, name=name)
            return kl.BatchNormalization(**settings, name=name)
        case "activation":
            return kl.Activation(_activation(knobs), name=name)
        case "max_pool":
            return kl.MaxPool2D(knobs["size"], name=name)
        case "identity":
            return kl.Identity(name=name)
        case "dropout":
            return kl.Dropout(knobs["rate"], name=name)
        case "add":
            return kl.Add(name=name)
        case "flatten":
            return kl.Flatten(name=name)
        case "dense":
            return kl.Dense(knobs["units"], use_bias=False, kernel_initializer=_initializer(init), name=name)
        case "scale":
            return kl.Rescaling(knobs["factor"], name=name)
    raise ValueError(f"no layer is made of {layer.kind}")


def _initializer(init: str) -> Any:
    return keras.initializers.VarianceScaling(**PYTORCH) if init == "pytorch" else "glorot_uniform"


def _activation(knobs: dict[str, Any]) -> Any:
    if knobs["function"] == "celu":
        alpha = knobs["alpha"]
        return lambda x: ops.celu(x, alpha)
    return knobs["function"]


@keras.saving.register_keras_serializable("pitwall")
class GhostBatchNorm(kl.BatchNormalization):  # type: ignore[misc]
    """Batch norm over `ghost_batch` pictures at a time; running statistics are means over these groups.

    Hoffer et al., "Train longer, generalize better" (arXiv 1705.08741), as in Page's bag of tricks. The number of
    pictures in training must be a multiple of `ghost_batch`.
    """

    def __init__(self, ghost_batch: int, **knobs: Any) -> None:
        super().__init__(**knobs)
        self.ghost_batch = ghost_batch

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        shape = ops.shape(inputs)
        groups = ops.reshape(inputs, (-1, self.ghost_batch, *shape[1:]))
        within = tuple(range(1, len(shape)))  # pictures of a group, rows, columns
        mean, variance = ops.moments(groups, axes=within, keepdims=True)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + ops.mean(now, axis=(0, *within)) * (1.0 - self.momentum))
        normal = (groups - mean) * ops.rsqrt(variance + self.epsilon)
        if self.scale:
            normal = normal * self.gamma
        return ops.reshape(normal + self.beta, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ghost_batch": self.ghost_batch}
