"""Mean accuracy of a preset, by Pitwall and by its PyTorch twin: `python -m benchmarks.peers.twins RESULTS.jsonl`.

Both with Page's and Keras' form of Nesterov's momentum, which differs from PyTorch's own while the rate changes. Each
training is a line of the file, so that it can be stopped and goes on where it was. Then mean, deviation, and the
90 % interval of the difference (Welch's, without equal variances).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import ttest_ind

from benchmarks.peers.contenders import Contender, measured, pitwall, pytorch, torch_python
from trainer.data.cifar import CIFAR10, is_available
from trainer.presets import PRESETS
from trainer.presets.preset import with_parts
from trainer.recipe import Recipe, recipe_hash

OURS, THEIRS = "Pitwall", "PyTorch, Page's update"


def main() -> None:
    arguments = _arguments()
    recipe = PRESETS[arguments.preset].recipe
    assert is_available(CIFAR10, arguments.datasets), f"no CIFAR-10 in {arguments.datasets}"
    with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
        waiting = {"OMP_WAIT_POLICY": "PASSIVE"}  # spinning threads starve each other beside a neighbour
        twin = pytorch(torch_python(Path(folder)), as_page=True, environment=waiting)
        both = {OURS: pitwall(arguments.backend, name=OURS), THEIRS: twin}
        for seed in range(arguments.seeds):
            for who in (OURS, THEIRS) if seed % 2 else (THEIRS, OURS):
                if seed not in read(arguments.results, recipe)[who]:
                    _one(arguments.results, who, both[who], with_parts(recipe, seed=seed), arguments.datasets)
    print("\n".join(summary(arguments.preset, read(arguments.results, recipe))))


def read(file: Path, recipe: Recipe) -> dict[str, dict[int, float]]:
    """who -> seed -> accuracy of this very recipe; a file may hold several recipes."""
    found: dict[str, dict[int, float]] = {OURS: {}, THEIRS: {}}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        row = json.loads(line)
        if row["recipe"] == recipe_hash(recipe):
            found[row["who"]][row["seed"]] = row["accuracy"]
    return found


def summary(preset: str, found: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Markdown. The difference is ours minus theirs, in points."""
    lines = ["| preset | who | n | mean | deviation |", "|---|---|---:|---:|---:|"]
    for who, accuracies in found.items():
        shares = list(accuracies.values())
        deviation = f"{100 * statistics.stdev(shares):.2f} points" if len(shares) > 1 else "–"
        mean = f"{statistics.mean(shares):.2%}" if shares else "–"
        lines.append(f"| {preset} | {who} | {len(shares)} | {mean} | {deviation} |")
    ours, theirs = (list(found[who].values()) for who in (OURS, THEIRS))
    if len(ours) > 1 and len(theirs) > 1:
        low, high = interval(ours, theirs)
        difference = 100 * (statistics.mean(ours) - statistics.mean(theirs))
        lines.append(f"\ndifference {difference:+.2f} points, 90 % interval {low:+.2f} to {high:+.2f} (Welch)")
    return lines


def interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """In points: 90 % of the difference of the means."""
    found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.9)
    return 100 * float(found.low), 100 * float(found.high)


def _one(file: Path, who: str, contender: Contender, recipe: Recipe, datasets: Path) -> None:
    result = measured(contender, recipe, datasets)
    row = {
        "recipe": recipe_hash(recipe),
        "who": who,
        "seed": recipe.seed,
        "accuracy": result.accuracy,
        "seconds": round(result.seconds, 1),
    }
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")
    print(f"  {who}, seed {recipe.seed}: {result.accuracy:.2%}, {result.seconds:.0f} s", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.twins", description=__doc__)
    home = Path(os.environ.get("PITWALL_DATA_DIR", "data")) / "datasets"
    parser.add_argument("results", type=Path, help="a file of JSON lines, made or gone on with")
    parser.add_argument("--preset", default="page-2018-small", choices=list(PRESETS))
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--datasets", type=Path, default=home, help="a folder with cifar-10-batches-py in it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
