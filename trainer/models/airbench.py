"""The model of Keller Jordan's airbench94 as a list of layers: small, designed to be trained in ten epochs.

github.com/KellerJordan/cifar10-airbench, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498).
"""

from __future__ import annotations

from trainer.models.layers import Layer, Stack
from trainer.recipe.network import Airbench

PATCH = 2  # pixels: height and width of the whitened patches
PATCH_FILTERS = 2 * PATCH * PATCH * 3  # each direction with both signs


def airbench(knobs: Airbench, classes: int, side: int = 32) -> list[Layer]:
    """Images (side, side, 3) to logits (classes,). At width 64 with 10 classes: 1,971,352 trainable
    parameters; forward pass 0.2363 GFLOP per image."""
    stack = Stack(side, 3, "model_input")
    stack.block = "prep"
    stack.conv("whitening", PATCH_FILTERS, PATCH, is_frozen=True, has_bias=True, padding="valid")
    stack.activation("gelu", "gelu")
    for number, filters in enumerate((knobs.width, 4 * knobs.width, 4 * knobs.width), start=1):
        stack.block = f"group {number}"
        stack.conv(f"Conv{2 * number - 1}", filters, passes_on=True)
        stack.max_pool(f"pool{number}", 2)
        _norm_act(stack, 2 * number - 1, knobs)
        stack.conv(f"Conv{2 * number}", filters, passes_on=True)
        _norm_act(stack, 2 * number, knobs)
    stack.block = "head"
    stack.max_pool("pool4", 3)
    stack.flatten("flatten")
    stack.dense("dense", classes)
    stack.scale("logits", knobs.logit_scale)
    return stack.layers


def _norm_act(stack: Stack, number: int, knobs: Airbench) -> None:
    stack.batch_norm(
        f"Bn{number}", is_scaled=False, momentum=knobs.bn_momentum, epsilon=knobs.bn_epsilon, ghost_batch=None
    )
    stack.activation(f"gelu{number}", "gelu")
