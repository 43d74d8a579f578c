"""The PyTorch half of same_steps.py: from given weights, over given batches, the loss of each step, a number a line.

`python -m benchmarks.peers.torch_steps RECIPE.json BATCHES.npz`, in an environment with PyTorch, NumPy and pydantic.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.torch_resnet9 import Net
from benchmarks.peers.torch_side import loss_of, optimizer_of, set_rate
from trainer.recipe import Recipe
from trainer.recipe.network import ResNet9


def main() -> None:
    recipe = Recipe.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    given = np.load(sys.argv[2])
    assert isinstance(recipe.model, ResNet9)
    filters = given["whitening/kernel"] if recipe.model.whiten else None
    net = Net(recipe.model, given["dense/kernel"].shape[1], filters).to(memory_format=torch.channels_last)
    put(net, given)
    optimizer, loss_step = optimizer_of(recipe, net), loss_of(recipe, net, is_compiled=False, device="cpu")
    for images, classes, rate in zip(given["images"], given["classes"], given["rates"].tolist(), strict=True):
        set_rate(optimizer, recipe, rate, as_page=True)
        loss = loss_step(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(classes))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(loss.item(), flush=True)


def put(net: Net, weights: Mapping[str, np.ndarray]) -> None:
    """`weights` by Pitwall's names; a kernel there is (height, width, in, out). Norms stay as they are: 1 and 0."""
    one, other = net.residual1, net.residual3
    blocks = (net.prep, net.layer1, one.one, one.other, net.layer2, net.layer3, other.one, other.other)
    with torch.no_grad():
        for number, block in enumerate(blocks, start=1):
            block.conv.weight.copy_(torch.from_numpy(weights[f"Conv{number}/kernel"].transpose(3, 2, 0, 1).copy()))
        net.dense.weight.copy_(torch.from_numpy(weights["dense/kernel"].T.copy()))


if __name__ == "__main__":
    main()
