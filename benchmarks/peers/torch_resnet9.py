"""Pitwall's ResNet9 in PyTorch, layer by layer, from the same settings.

Runs in an environment of its own, without Keras. Must not know how it is trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from trainer.models.resnet9 import PATCH, PATCH_FILTERS
from trainer.recipe.network import ResNet9


class Net(nn.Module):  # type: ignore[misc]
    """Pictures (b, 3, 32, 32) to logits (b, classes). `whitening`: a kernel as Keras has it, (3, 3, 3, 27)."""

    def __init__(self, knobs: ResNet9, classes: int, whitening: np.ndarray | None = None) -> None:
        super().__init__()
        width, self.scale = knobs.width, knobs.logit_scale
        self.whitening = None
        if knobs.whiten:
            assert whitening is not None
            self.whitening = nn.Conv2d(3, PATCH_FILTERS, PATCH, padding=1, bias=False).requires_grad_(False)
            self.whitening.weight.copy_(torch.from_numpy(whitening.transpose(3, 2, 0, 1).copy()))
        self.prep = Block(PATCH_FILTERS, width, knobs, size=1) if knobs.whiten else Block(3, width, knobs)
        self.layer1 = Block(width, 2 * width, knobs, is_pooled=True)
        self.residual1 = Residual(2 * width, knobs)
        self.layer2 = Block(2 * width, 4 * width, knobs, is_pooled=True)
        self.layer3 = Block(4 * width, 8 * width, knobs, is_pooled=True)
        self.residual3 = Residual(8 * width, knobs)
        self.dense = nn.Linear(8 * width, classes, bias=False)
        if knobs.init == "keras":
            for weight in self.parameters():
                if weight.ndim > 1 and weight.requires_grad:
                    nn.init.xavier_uniform_(weight)  # Glorot's; else PyTorch's own default

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.prep(x if self.whitening is None else self.whitening(x))
        x = self.residual1(self.layer1(x))
        x = self.residual3(self.layer3(self.layer2(x)))
        return self.dense(F.max_pool2d(x, 4).flatten(1)).float() * self.scale


class Block(nn.Module):  # type: ignore[misc]
    """Convolution, batch norm, activation, and optional pooling."""

    def __init__(self, given: int, filters: int, knobs: ResNet9, *, size: int = 3, is_pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, filters, size, padding=size // 2, bias=False)
        self.norm = BatchNorm(filters, knobs)
        self.pool = knobs.pool if is_pooled else ""
        self.alpha = knobs.celu_alpha if knobs.activation == "celu" else 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.pool == "before":
            x = F.max_pool2d(x, 2)
        x = self.norm(x)
        x = F.celu(x, self.alpha) if self.alpha else F.relu(x, inplace=True)
        return F.max_pool2d(x, 2) if self.pool == "after" else x


class Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, filters: int, knobs: ResNet9) -> None:
        super().__init__()
        self.one, self.other = Block(filters, filters, knobs), Block(filters, filters, knobs)
        self.dropout = nn.Dropout(knobs.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.other(self.dropout(self.one(x)))


class BatchNorm(nn.Module):  # type: ignore[misc]
    """PyTorch's own, or over `ghost_batch` pictures at a time; its momentum is 1 - Keras' momentum."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, knobs: ResNet9) -> None:
        super().__init__()
        ones = torch.ones(channels)
        self.ghost, self.epsilon, self.share = knobs.ghost_batch, knobs.bn_epsilon, 1 - knobs.bn_momentum
        self.weight: Any
        if knobs.bn_scale == "trained":
            self.weight = nn.Parameter(ones.clone())
        else:  # a constant, since cuDNN wants one
            self.register_buffer("weight", ones.clone(), persistent=False)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", ones.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.ghost:
            return self._by_ghosts(x)
        running = self.running_mean, self.running_var
        return F.batch_norm(x, *running, self.weight, self.bias, self.training, self.share, self.epsilon)

    def _by_ghosts(self, x: torch.Tensor) -> torch.Tensor:
        groups = x.unflatten(0, (-1, self.ghost)).float()
        variance, mean = torch.var_mean(groups, dim=(1, 3, 4), correction=0, keepdim=True)
        with torch.no_grad():
            self.running_mean.lerp_(mean.mean(0).flatten(), self.share)
            self.running_var.lerp_(variance.mean(0).flatten(), self.share)
        factor = torch.rsqrt(variance + self.epsilon) * self.weight[:, None, None]
        return ((groups - mean) * factor + self.bias[:, None, None]).flatten(0, 1).to(x.dtype)


def parameters(net: Net) -> tuple[int, int]:
    """(all, of them trainable), as Keras counts: running statistics and frozen filters are parameters."""
    trained = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
    return sum(tensor.numel() for tensor in net.state_dict().values()), trained
