"""ResNet9 as a list of layers: the nine-layer residual model of David Page's DAWNBench entry.

Page, "How to train your ResNet" (myrtle.ai, 2018), as written by the original experiment, with its layer names;
the bag-of-tricks settings are from Page's second series (2019).
"""

from __future__ import annotations

from trainer.models.layers import Layer, Stack
from trainer.recipe.network import ResNet9

PATCH = 3  # pixels: height and width of the whitened patches
PATCH_FILTERS = PATCH * PATCH * 3


def resnet9(knobs: ResNet9, classes: int, side: int = 32) -> list[Layer]:
    """Images (side, side, 3) to logits (classes,). `side` is 32 or a multiple of it.

    The loss applies the softmax, which gives a more exact gradient. At width 64 with 10 classes: 6,577,600 parameters,
    6,573,120 of them trainable; forward pass 0.7585 GFLOP per image.
    """
    stack, width = Stack(side, 3, "model_input"), knobs.width

    stack.block = "prep"
    if knobs.whiten:
        stack.conv("whitening", PATCH_FILTERS, PATCH, is_frozen=True)
    _conv_bn_act(stack, width, 1, knobs, size=1 if knobs.whiten else 3)

    stack.block = "layer 1"
    _conv_bn_act(stack, 2 * width, 2, knobs, pool=1)
    if knobs.identity:
        stack.identity("id1")
    _residual(stack, 2 * width, 3, knobs)

    stack.block = "layer 2"
    _conv_bn_act(stack, 4 * width, 5, knobs, pool=2)

    stack.block = "layer 3"
    _conv_bn_act(stack, 8 * width, 6, knobs, pool=3)
    if knobs.identity:
        stack.identity("id2")
    _residual(stack, 8 * width, 7, knobs)

    stack.block = "head"
    stack.max_pool("pool4", 4)
    stack.flatten("flatten")
    stack.dense("dense", classes)
    if knobs.logit_scale != 1:
        stack.scale("logits", knobs.logit_scale)
    return stack.layers


def _conv_bn_act(
    stack: Stack, filters: int, number: int, knobs: ResNet9, *, size: int = 3, pool: int | None = None
) -> None:
    """`number` counts the convolutions from 1, `pool` the poolings. No bias: the batch norm that follows has one."""
    stack.conv(f"Conv{number}", filters, size)
    if pool and knobs.pool == "before":
        stack.max_pool(f"pool{pool}", 2)
    stack.batch_norm(
        f"Bn{number}",
        is_scaled=knobs.bn_scale == "trained",
        momentum=knobs.bn_momentum,
        epsilon=knobs.bn_epsilon,
        ghost_batch=knobs.ghost_batch,
    )
    stack.activation(f"{knobs.activation}{number}", knobs.activation, alpha=knobs.celu_alpha)
    if pool and knobs.pool == "after":
        stack.max_pool(f"pool{pool}", 2)


def _residual(stack: Stack, filters: int, number: int, knobs: ResNet9) -> None:
    """x + two convolutions of x, with a dropout between them. `number` is that of the first."""
    trunk = stack.top.name
    _conv_bn_act(stack, filters, number, knobs)
    stack.dropout(f"dropout{number // 3}", knobs.dropout)
    _conv_bn_act(stack, filters, number + 1, knobs)
    stack.add(f"add{number // 3}", trunk)
