"""The classes of a model's batch norms, and which of these norms can be fused with neighbouring layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from trainer.models.layers import Layer

MONOTONIC = {"relu", "celu"}  # activations that never decrease


class Norms(NamedTuple):
    """Classes of Keras layers, or functions that create one, for float32 images."""

    standard: type
    pooled: Callable[..., Any] | None = None  # as one layer with the activation and the pooling that follow
    recomputed: Callable[..., Any] | None = None  # after the first convolution, whose output it does not keep


def find_poolable(layers: Sequence[Layer]) -> dict[str, tuple[Layer, Layer]]:
    """Batch norms that are followed only by a monotonic activation and then only by a max pool.

    By name, with these two layers. Ghost batch norms are left out.
    """
    takers = _count_consumers(layers)
    found = {}
    for norm, activation, pool in zip(layers, layers[1:], layers[2:], strict=False):
        kinds = (norm.kind, activation.kind, pool.kind)
        if kinds != ("batch_norm", "activation", "max_pool"):
            continue
        is_chain = activation.inputs == (norm.name,) and pool.inputs == (activation.name,)
        is_alone = takers[norm.name] == takers[activation.name] == 1
        if is_chain and is_alone and activation.knobs["function"] in MONOTONIC and not norm.knobs["ghost_batch"]:
            found[norm.name] = (activation, pool)
    return found


def find_recomputable(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The batch norm that is the only consumer of the first convolution: by name, with that convolution.

    A ghost batch norm is left out.
    """
    takers = _count_consumers(layers)
    return {
        norm.name: convolution
        for convolution, norm in pairwise(layers)
        if convolution.kind == "conv"
        and convolution.inputs == (layers[0].name,)
        and norm.kind == "batch_norm"
        and norm.inputs == (convolution.name,)
        and takers[convolution.name] == 1
        and not norm.knobs["ghost_batch"]
    }


def _count_consumers(layers: Sequence[Layer]) -> Counter[str]:
    """The number of layers that use each layer's output."""
    return Counter(name for layer in layers for name in layer.inputs)
