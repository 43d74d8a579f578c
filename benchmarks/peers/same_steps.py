"""`python -m benchmarks.peers.same_steps`: the loss of Pitwall's engine and of its PyTorch twin at each of a few steps.

From the same weights, over the same pictures: what the twins' accuracies differ by is then chance, or augmentation.
Rounding doubles every few steps, so the first ones tell.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.contenders import ROOT, torch_python
from trainer.augment.normalisation import compute_normalisation, normalise
from trainer.data import datasets
from trainer.models.whitening import compute_filters
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import learning_rates


def main() -> None:
    arguments = _arguments()
    recipe = PRESETS[arguments.preset].recipe
    with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
        file, batches = Path(folder) / "recipe.json", Path(folder) / "batches.npz"
        file.write_text(recipe.model_dump_json(), encoding="utf-8")
        ours = _ours(recipe, arguments.datasets, arguments.steps, batches)
        command = [str(torch_python(Path(folder))), "-m", "benchmarks.peers.torch_steps", str(file), str(batches)]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    print(f"{arguments.preset}, seed {recipe.seed}\n\n| step | Pitwall | PyTorch | difference |\n|---:|---:|---:|---:|")
    for step, (own, its) in enumerate(zip(ours, map(float, said.split()), strict=True), start=1):
        print(f"| {step} | {own:.6f} | {its:.6f} | {own - its:+.1e} |")


def _ours(recipe: Recipe, root: Path, steps: int, file: Path) -> list[float]:
    """The loss that each step descends; `file` gets what the twin needs to do the same."""
    from trainer.engine.backend import open_backend

    opened = open_backend(recipe.backend)
    from trainer.engine.engine import KerasEngine  # the backend first: Keras reads its name once
    from trainer.engine.interface import HostBatch

    data = datasets.load(recipe.dataset, root, lambda note: None)
    normal, rates = (
        compute_normalisation(recipe.normalize, data.train_images),
        learning_rates(recipe, len(data.train_images)),
    )
    whitening = compute_filters(recipe.model, data.train_images, normal)
    engine = KerasEngine(opened, recipe, len(data.classes), rates, whitening, normal)
    shape = (steps, recipe.batch_size)
    chosen = np.arange(steps * recipe.batch_size)
    images = normalise(data.train_images[chosen], *normal).reshape(*shape, *data.train_images.shape[1:])
    classes = data.train_labels[chosen].reshape(shape)
    given: dict[str, Any] = {"images": images, "classes": classes, "rates": rates[:steps]}
    np.savez(file, **given, **_weights(engine))
    losses = []
    for batch, own in zip(images, classes, strict=True):
        engine.step(HostBatch(batch, own))
        losses.append(engine.end_epoch().loss)
    return losses


def _weights(engine: Any) -> dict[str, Any]:
    """Those that are trained, as they are now: what an evaluation would use may be an average of them."""
    kept = {name.removeprefix("net/"): value for name, value in engine.state().items() if name.startswith("net/")}
    return {name: value for name, value in kept.items() if name.endswith("/kernel")}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.same_steps", description=__doc__)
    home = Path(os.environ.get("PITWALL_DATA_DIR", "data")) / "datasets"
    parser.add_argument("--preset", default="page-2018-small", choices=list(PRESETS))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--datasets", type=Path, default=home, help="a folder with cifar-10-batches-py in it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
