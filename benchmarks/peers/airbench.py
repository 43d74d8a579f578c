"""airbench94, compiled: Keller Jordan's own script from a checkout of KellerJordan/cifar10-airbench, on our pictures.

It needs a GPU and torchvision, warms itself up and says the seconds of each of its 25 runs.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import median
from benchmarks.peers.contenders import ROOT

SCRIPT = "legacy/airbench94_compiled.py"
# The script reads these two files where they are, and downloads otherwise.
PICTURES = """
import sys, torch
from pathlib import Path
from trainer.data.cifar import CIFAR10, read
train, test, classes = read(CIFAR10, Path(sys.argv[1]), print)
for name, (images, labels) in (("train", train), ("test", test)):
    content = {"images": torch.from_numpy(images), "labels": torch.from_numpy(labels), "classes": list(classes)}
    torch.save(content, Path(sys.argv[2]) / f"{name}.pt")
"""


def measure(checkout: Path | None, python: Path, datasets: Path) -> str:
    """A sentence: its median seconds, mean accuracy and number of runs, or why there are none."""
    if checkout is None:
        return "airbench94, compiled: not measured, no checkout of it was named"
    with tempfile.TemporaryDirectory(prefix="pitwall-bench-") as folder:
        pictures = Path(folder) / "cifar10"
        pictures.mkdir()
        try:
            subprocess.run([python, "-c", PICTURES, datasets.absolute(), pictures], check=True, cwd=ROOT)
            script = (checkout / SCRIPT).absolute()
            done = subprocess.run([python, script], check=True, cwd=folder, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"airbench94, compiled: not measured, {error}"
    runs = results(done.stdout)
    accuracy = sum(one for one, _ in runs) / len(runs)
    seconds = median([one for _, one in runs])
    return f"airbench94, compiled: median {seconds:.2f} s, mean accuracy {accuracy:.2%} with 6 views, {len(runs)} runs"


def results(table: str) -> list[tuple[float, float]]:
    """(accuracy with test-time augmentation, seconds) of each run in what it prints, the warm-up left out."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    return [(float(row[5]), float(row[6])) for row in rows if row[1] == "eval"][1:]
