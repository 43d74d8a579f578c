"""The classes that a net's batch norms are made of, and which of them can be more than a batch norm.

Must not know any ML framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from trainer.models.layers import Layer

MONOTONIC = {"relu", "celu"}  # activations that never fall


class Norms(NamedTuple):
    """Classes of Keras layers, or what makes one of them, for pictures in float32."""

    standard: type
    pooled: Callable[..., Any] | None = None  # with the activation and the pooling behind it, as one layer
    recomputed: Callable[..., Any] | None = None  # behind the first convolution, whose output it does not keep


def find_poolable(layers: Sequence[Layer]) -> dict[str, tuple[Layer, Layer]]:
    """Batch norms whose output goes through an activation that never falls into a max pool, and nowhere else.

    By name, with these two. Norms of ghost batches are left out.
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
    """The batch norm that alone takes what the convolution of the pictures makes: by name, with that convolution.

    A norm of ghost batches is left out.
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
    """How many layers take what each one makes."""
    return Counter(name for layer in layers for name in layer.inputs)
