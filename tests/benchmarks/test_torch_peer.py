"""The benchmark's PyTorch twin is the net that Pitwall trains. Only where PyTorch is installed; Pitwall needs none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.augment.normalisation import compute_normalisation
from trainer.models.layers import compute_totals
from trainer.models.resnet9 import PATCH, PATCH_FILTERS, resnet9
from trainer.presets import PRESETS
from trainer.recipe.network import ResNet9

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["page-2018", "page-2018-small", "page-tricks", "page-tricks-small"])
def test_the_twin_has_as_many_parameters(name: str):
    from benchmarks.peers.torch_resnet9 import Net, parameters

    knobs = PRESETS[name].recipe.model
    assert isinstance(knobs, ResNet9)
    filters = np.zeros((PATCH, PATCH, 3, PATCH_FILTERS), np.float32) if knobs.whiten else None

    sums = compute_totals(resnet9(knobs, 10))
    assert parameters(Net(knobs, 10, filters)) == (sums.parameters, sums.trainable)


def test_ghosts_as_large_as_the_batch_are_plain_batch_norm():
    from benchmarks.peers.torch_resnet9 import BatchNorm

    knobs: dict[str, Any] = {"bn_momentum": 0.6}
    plain, ghost = (BatchNorm(3, ResNet9(**knobs, ghost_batch=size)) for size in (None, 512))
    pictures = torch.randn(512, 3, 4, 4) * 2 + 1

    torch.testing.assert_close(ghost(pictures), plain(pictures))
    torch.testing.assert_close(ghost.running_mean, plain.running_mean)
    torch.testing.assert_close(ghost.running_var, plain.running_var, rtol=1e-3, atol=0)  # PyTorch's is unbiased


def test_each_picture_is_cropped_mirrored_and_cut_by_its_own_draw():
    from benchmarks.peers.torch_images import AugmentedImages

    torch.manual_seed(0)
    column = np.arange(1, 33, dtype=np.uint8)[:, None] * np.ones(3, np.uint8)  # 1 to 32, left to right
    images = np.ascontiguousarray(np.broadcast_to(column, (256, 32, 32, 3)))
    recipe = PRESETS["page-2018"].recipe.model_copy(update={"batch_size": 256})
    made = AugmentedImages(recipe, images, np.zeros(256, np.int64), compute_normalisation("0..255", images), "cpu")

    [(batch, labels)] = list(made.epoch())

    assert batch.shape == (256, 3, 32, 32)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert len(labels) == 256
    assert ((batch == 0).sum((1, 2, 3)) == 3 * 8 * 8).all()
    rows = batch[:, 0].amax(1)  # what the square left of each column
    steps = torch.diff(rows[:, 8:24])  # the middle, where no mirrored padding reaches
    assert ((steps == 1).all(1) | (steps == -1).all(1)).all()
    assert 0.4 < (steps[:, 0] == 1).float().mean() < 0.6
    starts = {tuple(row) for row in rows.long().tolist()}
    assert len(starts) == 2 * 9  # each offset, plain and mirrored


def test_page_s_update_keeps_the_rate_that_a_gradient_came_with():
    """Against `nesterov_update` of David Page's cifar10-fast: v = m v + rate g, w -= rate g + m v."""
    from benchmarks.peers.torch_side import optimizer_of, set_rate

    recipe = PRESETS["page-2018"].recipe
    decay, momentum = recipe.optimizer.weight_decay.value, recipe.optimizer.momentum
    net = torch.nn.Linear(3, 1, bias=False).double()
    weights, moving = net.weight.detach().numpy().copy(), np.zeros((1, 3))
    optimizer = optimizer_of(recipe, net)
    generator = np.random.default_rng(0)
    for rate in (0.0, 0.1, 0.4, 0.4, 0.05):
        gradient = generator.normal(size=(1, 3))
        net.weight.grad = torch.from_numpy(gradient.copy())
        set_rate(optimizer, recipe, rate, as_page=True)
        optimizer.step()
        gradient = gradient + decay * weights
        moving = momentum * moving + rate * gradient
        weights -= rate * gradient + momentum * moving

    np.testing.assert_allclose(net.weight.detach().numpy(), weights, rtol=1e-6)
