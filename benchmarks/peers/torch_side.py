"""Train a recipe with PyTorch and say each epoch as the trainer does: a JSON object a line.

`python -m benchmarks.peers.torch_side RECIPE.json --datasets FOLDER [--compile] [--page]`, in an environment that has
PyTorch, NumPy and pydantic. Written as one writes PyTorch for speed: pictures on the device as bytes, channels-last,
fused SGD. That SGD multiplies the momentum by the rate of the step; Page's and Keras' by that of the step which it
comes from: the same while the rate holds. `--page` is theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from benchmarks.peers.torch_images import AugmentedImages
from benchmarks.peers.torch_resnet9 import Net
from trainer.augment.normalisation import compute_normalisation, normalise
from trainer.data import datasets
from trainer.models.whitening import SAMPLE, whitening_filters
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import learning_rates
from trainer.recipe.network import ResNet9

EVALUATION_BATCH = 500
SMALLEST = 1e-12  # rate: a momentum can be brought to it and back
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Say = Callable[[dict[str, Any]], None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--datasets", type=Path, required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    recipe = Recipe.model_validate_json(arguments.recipe.read_text(encoding="utf-8"))
    train(recipe, arguments.datasets, _say, is_compiled=arguments.compile, as_page=arguments.page)


def train(recipe: Recipe, root: Path, say: Say, *, is_compiled: bool, as_page: bool) -> None:
    """Raises NotImplementedError if the recipe uses a setting that is not implemented here."""
    _refuse(recipe)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.benchmark = True
    data = datasets.load(recipe.dataset, root, lambda note: None)
    normal = compute_normalisation(recipe.normalize, data.train_images)
    model = recipe.model
    assert isinstance(model, ResNet9)
    filters = whitening_filters(normalise(data.train_images[:SAMPLE], *normal)) if model.whiten else None
    net = Net(model, len(data.classes), filters).to(device, memory_format=torch.channels_last)
    say({"event": "started", "torch": torch.__version__, "device": device})

    pictures = AugmentedImages(recipe, data.train_images, data.train_labels, normal, device)
    validation = torch.from_numpy(normalise(data.val_images, *normal)).permute(0, 3, 1, 2)
    labels = torch.from_numpy(data.val_labels)
    rates = learning_rates(recipe, len(data.train_images))
    optimizer = optimizer_of(recipe, net)
    averaged = copy.deepcopy(net)
    precision = _precision(recipe, device)
    loss_step = loss_of(recipe, net, is_compiled, device)

    done = 0
    for epoch in range(1, recipe.epochs + 1):
        began, losses = perf_counter(), torch.zeros((), device=device)
        net.train()
        for images, classes in pictures.epoch():
            set_rate(optimizer, recipe, float(rates[done]), as_page=as_page)
            with precision():
                loss = loss_step(images, classes)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses += loss.detach()
            done += 1
            if recipe.ema and done % recipe.ema.every == 0:
                _toward(averaged, net, 1 - recipe.ema.decay**recipe.ema.every)
        train_loss = float(losses) * epoch / done  # waits for the device
        seconds = perf_counter() - began
        tested = (averaged if recipe.ema else net).eval()
        with torch.inference_mode(), precision():
            plain, mirrored = _accuracies(tested, validation, labels, device)
        say(
            {
                "event": "epoch",
                "epoch": epoch,
                "train_loss": train_loss,
                "val_accuracy": plain,
                "tta_accuracy": mirrored if recipe.tta == "flip" else None,
                "seconds": seconds,
            }
        )
    say({"event": "finished"})


def _say(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def optimizer_of(recipe: Recipe, net: Net) -> torch.optim.SGD:
    """Two groups of weights: the biases of batch norms learn faster and decay less by the same factor."""
    factor, decay = recipe.optimizer.bias_rate, recipe.optimizer.weight_decay.value
    trained = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    return torch.optim.SGD(
        [
            {"params": [weight for name, weight in trained if not name.endswith("bias")], "weight_decay": decay},
            {"params": [weight for name, weight in trained if name.endswith("bias")], "weight_decay": decay / factor},
        ],
        lr=0.0,
        momentum=recipe.optimizer.momentum,
        nesterov=recipe.optimizer.nesterov,
        fused=True,
    )


def set_rate(optimizer: torch.optim.SGD, recipe: Recipe, rate: float, *, as_page: bool = False) -> None:
    """`as_page`: what the momentum holds keeps the rate that it came with, as in David Page's `nesterov_update`."""
    for group, factor in zip(optimizer.param_groups, (1.0, recipe.optimizer.bias_rate), strict=True):
        before, group["lr"] = group["lr"], max(rate, SMALLEST) * factor
        if as_page and group["params"] and optimizer.state:
            buffers = [optimizer.state[weight]["momentum_buffer"] for weight in group["params"]]
            torch._foreach_mul_(buffers, before / group["lr"])


def loss_of(recipe: Recipe, net: Net, is_compiled: bool, device: str) -> Step:
    smoothing = recipe.loss.label_smoothing

    def loss(images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(images), classes, label_smoothing=smoothing)

    if not is_compiled:
        return loss
    mode = "max-autotune-no-cudagraphs" if device == "cuda" else "default"
    compiled: Step = torch.compile(loss, mode=mode, dynamic=False)
    return compiled


def _precision(recipe: Recipe, device: str) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    if recipe.precision == "bfloat16":
        return lambda: torch.autocast(device, dtype=torch.bfloat16)
    return contextlib.nullcontext


def _toward(averaged: Net, net: Net, share: float) -> None:
    """Over the running statistics too, as David Page's bag of tricks has it."""
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.state_dict().values()), list(net.state_dict().values()), share)


def _accuracies(net: Net, images: torch.Tensor, labels: torch.Tensor, device: str) -> tuple[float, float]:
    """As the pictures are, and averaged with their mirror images."""
    hits = np.zeros(2)
    for few, classes in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        batch, own = few.to(device, memory_format=torch.channels_last), classes.to(device)
        plain = net(batch)
        both = plain + net(batch.flip(3))
        hits += [int((logits.argmax(1) == own).sum()) for logits in (plain, both)]
    plain_share, mirrored_share = (hits / len(labels)).tolist()
    return plain_share, mirrored_share


def _refuse(recipe: Recipe) -> None:
    decay = recipe.optimizer.weight_decay
    wanted = {
        "mixup": recipe.mixup is not None,
        "a summed loss": recipe.loss.reduction == "sum",
        "pictures changed once": recipe.augment_when == "once",
        f"weight decay {decay.kind} on {decay.on}": bool(decay.value) and (decay.kind, decay.on) != ("coupled", "all"),
        "test-time augmentation by more than a mirror": recipe.tta not in {"none", "flip"},
        f"the network {recipe.model.name}": recipe.model.name != "resnet9",
        "an average that rises or is put back": recipe.ema is not None
        and (recipe.ema.rise != 0 or recipe.ema.put_back),
    }
    if missing := [what for what, is_wanted in wanted.items() if is_wanted]:
        raise NotImplementedError(", ".join(missing))


if __name__ == "__main__":
    main()
