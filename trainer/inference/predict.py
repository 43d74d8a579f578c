"""Predicts the class of an uploaded image: `python -m trainer.inference.predict WEIGHTS PICTURE`.

Prints one line of JSON: {classes, probabilities, seen (PNG of the model's input, base64), epoch}, or {problem, field}
with exit code 2. A process of its own with low priority and limited memory and time, since it decodes untrusted files.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from trainer.failures import CheckpointDamaged
from trainer.inference import trained
from trainer.inference.upload import UnreadableImage, decode_image
from trainer.machine.process import die_with

MAX_MEMORY_BYTES = 3 * 2**30  # of address space
MAX_CPU_SECONDS = 30
NICENESS = 10
REFUSED = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.inference.predict", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("weights", type=Path, help="best.safetensors of a run")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--parent", type=int, default=None, help="end when this process has ended")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with(arguments.parent)
    _limit_resources()
    try:
        result = predict(arguments.weights, arguments.picture.read_bytes())
    except (UnreadableImage, CheckpointDamaged) as problem:
        field = "picture" if isinstance(problem, UnreadableImage) else None
        sys.stdout.write(json.dumps({"problem": str(problem), "field": field}) + "\n")
        sys.exit(REFUSED)
    sys.stdout.write(json.dumps(result) + "\n")


def predict(weights: Path, content: bytes) -> dict[str, Any]:
    """The JSON that main() prints. Raises UnreadableImage, CheckpointDamaged."""
    from PIL import Image

    model, image = trained.load_trained(weights), decode_image(content)
    png = io.BytesIO()
    Image.fromarray(image[0]).save(png, "PNG")
    return {
        "classes": model.classes,
        "probabilities": [float(share) for share in model.probabilities(image)[0]],
        "seen": base64.b64encode(png.getvalue()).decode(),
        "epoch": model.epoch,
    }


def _limit_resources() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
