"""`make bench-train`: the same model, data and batches trained by Pitwall, PyTorch and `model.fit`, in one table.

In turn, so that a drift of the machine falls on all; medians of the repeats, and of the ratios within each repeat.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import median
from benchmarks.peers import airbench
from benchmarks.peers.contenders import Contender, Measured, NotMeasured, fit, measured, pitwall, pytorch, torch_python
from benchmarks.training import random_images
from trainer.data.cifar import CIFAR10, is_available
from trainer.machine.devices import list_devices
from trainer.machine.environment import describe_environment
from trainer.presets import PRESETS
from trainer.presets.preset import with_parts
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import CutoutSquare, Flip, PadCrop
from trainer.recipe.schedule import Piecewise

EPOCHS = 3  # the first warms up
PICTURES = {8: 3200, 64: 1024}  # training pictures of an epoch on a CPU, by width
EAGER, FIT = "PyTorch, eager", fit().name  # what the others are compared with
SPINNING, WAITING = {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass
class Case:
    """A width and a batch size, and what was measured of each contender: repeat -> figures, or why not."""

    recipe: Recipe
    done: dict[str, dict[int, Measured]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def main() -> None:
    arguments = _arguments()
    on_gpu = list_devices(None) != ["cpu"]
    with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
        datasets, what = arguments.datasets, "CIFAR-10"
        if not is_available(CIFAR10, datasets):
            datasets, what = random_images.write(Path(folder)), "random images (accuracies say nothing)"
        print(_surroundings(what), flush=True)
        knobs = {"precision": "bfloat16" if on_gpu else "float32"}
        contenders = [
            replace(one, knobs=one.knobs | knobs)
            for one in _contenders(Path(folder), datasets, on_gpu)
            if any(part in one.name for part in arguments.only)
        ]
        cases = [Case(_recipe(width, batch, on_gpu)) for width in arguments.widths for batch in arguments.batches]
        for repeat in range(arguments.repeats):
            for case in cases:
                for contender in contenders if repeat % 2 else reversed(contenders):
                    _measure(case, contender, repeat, datasets)
        print("\n" + "\n".join(table(cases, [contender.name for contender in contenders])))
        if on_gpu:
            print(f"\n{airbench.measure(arguments.airbench, torch_python(Path(folder)), datasets)}")
        else:
            print("\nGPU, bf16, airbench94: not measured, there is no GPU here")


def table(cases: Iterable[Case], names: Iterable[str]) -> list[str]:
    """Markdown. A ratio is the median of the ratios within a repeat."""
    lines = [
        f"| who | width | batch | images/s | to {EAGER} | to {FIT} | peak MiB | accuracy | cores |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    names = list(names)
    for case in cases:
        for name in names:
            start = f"| {name} | {case.recipe.model.width} | {case.recipe.batch_size} |"
            if not (rows := case.done.get(name)):
                lines.append(f"{start} not measured | | | | | {case.missing.get(name, '')} |")
                continue
            some = list(rows.values())
            cells = [
                f"{median([row.images_per_second for row in some]):,.0f}",
                _ratio(rows, case.done.get(EAGER)),
                _ratio(rows, case.done.get(FIT)),
                f"{max(row.peak_mib for row in some):,.0f}",
                f"{median([row.accuracy for row in some]):.1%}",
                f"{median([row.cores for row in some]):.2f}",
            ]
            lines.append(f"{start} {' | '.join(cells)} |")
    return lines


def _ratio(ours: Mapping[int, Measured], theirs: Mapping[int, Measured] | None) -> str:
    both = [(ours[repeat], theirs[repeat]) for repeat in ours if repeat in theirs] if theirs else []
    return f"{median([one.images_per_second / other.images_per_second for one, other in both]):.2f}" if both else "–"


def _measure(case: Case, contender: Contender, repeat: int, datasets: Path) -> None:
    if contender.name in case.missing:
        return
    what = f"  {contender.name}, width {case.recipe.model.width}, batch {case.recipe.batch_size}"
    try:
        row = measured(contender, case.recipe, datasets)
    except NotMeasured as reason:
        case.missing[contender.name] = str(reason)
        print(f"{what}: not measured, {reason}", flush=True)
        return
    case.done.setdefault(contender.name, {})[repeat] = row
    print(f"{what}: {row.images_per_second:,.0f} images/s, {row.seconds:.0f} s, {row.cores:.2f} cores", flush=True)


def _contenders(folder: Path, datasets: Path, on_gpu: bool) -> list[Contender]:
    ours = [pitwall(backend, engine) for backend in ("tensorflow", "jax") for engine in ("imgaug", "device")]
    try:
        python = torch_python(folder)
    except NotMeasured as reason:
        print(f"PyTorch: not measured, {reason}")
        return [*ours, fit()]
    waiting = {} if on_gpu else _faster_waiting(python, datasets)
    theirs = [pytorch(python, is_compiled=compiled, environment=waiting) for compiled in (False, True)]
    return [*ours, *theirs, fit()]


def _faster_waiting(python: Path, datasets: Path) -> dict[str, str]:
    """How PyTorch's threads should wait for each other: spinning is best on an idle machine, and five to ten times
    slower where a neighbour takes a core away. Tried out, for it is no merit of ours if they spin."""
    recipe = _recipe(8, 128, on_gpu=False)
    recipe = with_parts(recipe, dataset=recipe.dataset.model_copy(update={"train_limit": 1280}))
    tried = []
    for way in (SPINNING, WAITING):
        rate = measured(pytorch(python, environment=way), recipe, datasets).images_per_second
        tried.append((rate, way))
        print(f"  PyTorch, {way['OMP_WAIT_POLICY'].lower()} threads: {rate:,.0f} images/s", flush=True)
    return max(tried, key=lambda one: one[0])[1]


def _recipe(width: int, batch: int, on_gpu: bool) -> Recipe:
    """page-2018 of the given size, its rates in proportion to the batch, up in the first of its few epochs."""
    page = PRESETS["page-2018"].recipe
    pictures, tested = (None, None) if on_gpu else (PICTURES.get(width, 1024), 500)
    return with_parts(
        page,
        dataset=Dataset(name="cifar10", train_limit=pictures, val_limit=tested),
        model=page.model.model_copy(update={"width": width}),
        schedule=Piecewise(knots=[[0, 0], [1, 0.4 * batch / page.batch_size], [EPOCHS, 0]]),
        augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), CutoutSquare(size=8)],
        batch_size=batch,
        epochs=EPOCHS,
    )


def _surroundings(pictures: str) -> str:
    known: dict[str, Any] = describe_environment("")
    versions = ", ".join(f"{name} {known[name]}" for name in ("python", "keras", "tensorflow"))
    machine = f"{known['cpu']}, {known['cpus']} cores, load {os.getloadavg()[0]:.1f} at the start"
    return f"{machine}; {platform.platform()}; {versions}; {pictures}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.train", description=__doc__)
    home = Path(os.environ.get("PITWALL_DATA_DIR", "data")) / "datasets"
    parser.add_argument("--datasets", type=Path, default=home, help="a folder with cifar-10-batches-py in it")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="NAME", help="only contenders whose names contain one of these"
    )
    parser.add_argument("--airbench", type=Path, help="a checkout of KellerJordan/cifar10-airbench, for a GPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
