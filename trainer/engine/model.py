"""Builds a Keras model from a list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers as kl
from keras import ops
from numpy.typing import NDArray

from trainer.models.initial import Init, initial_kernel, with_identity_filters
from trainer.models.layers import Layer
from trainer.models.norms import Norms, find_poolable, find_recomputable

Precision = Literal["float32", "bfloat16"]
KERAS_NORMS = Norms(kl.BatchNormalization)


def build_model(
    layers: Sequence[Layer],
    init: Init,
    whitening: NDArray[np.float32] | None = None,
    *,
    seed: int = 0,
    precision: Precision = "float32",
    norms: Norms = KERAS_NORMS,
) -> keras.Model:
    """A model from images (b, side, side, 3) float32 to the last layer's output, float32.

    `whitening`: the kernel of the frozen convolution, if there is one. `seed` determines the other kernels and the
    dropout masks. `precision`: of convolutions and the activations between them; variables are always float32, and so
    are the batch norms' sums, the head and the loss. `norms`: the batch-norm classes to use.
    """
    first = layers[0]
    given = {first.name: keras.Input(first.shape, name=first.name)}
    parts: dict[str, Any] = {}
    behind = find_poolable(layers) if norms.pooled else {}
    before = find_recomputable(layers) if norms.recomputed else {}
    for place, layer in enumerate(layers[1:], start=1):
        if layer.name in given:
            continue
        taken = [given[name] for name in layer.inputs]
        policy = "mixed_bfloat16" if precision == "bfloat16" and layer.kind not in {"dense", "scale"} else "float32"
        common = {"dtype": policy, "name": layer.name}
        if norms.pooled and layer.name in behind:
            activation, pool = behind[layer.name]
            knobs = norm_arguments(layer.knobs) | common
            part = norms.pooled(_activation(activation.knobs), pool.knobs["size"], **knobs)
            given[activation.name] = given[pool.name] = part(taken[0])  # nothing else uses the activation
        elif norms.recomputed and layer.name in before:
            convolution = before[layer.name]
            # its call, not the layer: Keras would count the layer's kernel among the norm's weights
            part = norms.recomputed(parts[convolution.name].call, **norm_arguments(layer.knobs), **common)
            given[layer.name] = part([*taken, given[first.name]])
        else:
            parts[layer.name] = part = build_layer(layer, common, seed + place, norms.standard)
            given[layer.name] = part(taken if len(taken) > 1 else taken[0])
    model = keras.Model(given[first.name], given[layers[-1].name], name="net")
    for place, layer in enumerate(layers):
        if layer.kind in {"conv", "dense"}:
            variable = model.get_layer(layer.name).kernel
            if layer.knobs.get("is_frozen"):
                assert whitening is not None
                variable.assign(whitening)
                variable.trainable = False
            else:
                drawn = initial_kernel(tuple(variable.shape), init, seed, place)
                variable.assign(with_identity_filters(drawn) if layer.knobs.get("passes_on") else drawn)
    return model


def build_layer(layer: Layer, common: dict[str, Any], seed: int, batch_norm: type) -> Any:
    """`common`: arguments that every layer takes. Kernels start as zeros: build_model() fills them."""
    knobs = layer.knobs
    match layer.kind:
        case "conv":
            return kl.Conv2D(
                knobs["filters"],
                knobs["size"],
                padding=knobs["padding"],
                use_bias=knobs["has_bias"],
                kernel_initializer="zeros",
                trainable=not knobs["is_frozen"] or knobs["has_bias"],
                **common,
            )
        case "batch_norm":
            if knobs["ghost_batch"]:
                return GhostBatchNorm(knobs["ghost_batch"], **norm_arguments(knobs), **common)
            return batch_norm(**norm_arguments(knobs), **common)
        case "activation":
            return kl.Activation(_activation(knobs), **common)
        case "max_pool":
            return kl.MaxPool2D(knobs["size"], **common)
        case "identity":
            return kl.Identity(**common)
        case "dropout":
            return kl.Dropout(knobs["rate"], seed=seed, **common)
        case "add":
            return kl.Add(**common)
        case "flatten":
            return kl.Flatten(**common)
        case "dense":
            return kl.Dense(knobs["units"], use_bias=False, kernel_initializer="zeros", **common)
        case "scale":
            return kl.Rescaling(knobs["factor"], **common)
    raise ValueError(f"no layer is made of {layer.kind}")


def norm_arguments(knobs: dict[str, Any]) -> dict[str, Any]:
    """A batch norm's settings as Keras' arguments."""
    return {"momentum": knobs["momentum"], "epsilon": knobs["epsilon"], "scale": knobs["is_scaled"]}


def _activation(knobs: dict[str, Any]) -> Any:
    match knobs["function"]:
        case "celu":
            alpha = knobs["alpha"]
            return lambda x: ops.celu(x, alpha)
        case "gelu":
            return lambda x: ops.gelu(x, approximate=False)
    return keras.activations.get(knobs["function"])


@keras.saving.register_keras_serializable("pitwall")
class GhostBatchNorm(kl.BatchNormalization):  # type: ignore[misc]
    """Batch norm over `ghost_batch` images at a time; running statistics are means over these groups.

    Hoffer et al., "Train longer, generalize better" (arXiv 1705.08741), as in Page's bag of tricks. The size of a
    training batch must be a multiple of `ghost_batch`.
    """

    def __init__(self, ghost_batch: int, **knobs: Any) -> None:
        super().__init__(**knobs)
        self.ghost_batch = ghost_batch

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        shape = ops.shape(inputs)
        groups = ops.cast(ops.reshape(inputs, (-1, self.ghost_batch, *shape[1:])), "float32")
        within = tuple(range(1, len(shape)))  # images of a group, rows, columns
        mean, variance = ops.moments(groups, axes=within, keepdims=True)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + ops.mean(now, axis=(0, *within)) * (1.0 - self.momentum))
        factor = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.gamma
        normal = (groups - mean) * factor + self.beta
        return ops.cast(ops.reshape(normal, shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ghost_batch": self.ghost_batch}
