"""Exports a trained model to Keras or ONNX: `python -m trainer.inference.export WEIGHTS keras|onnx FILE`.

A process with low priority that never uses a GPU. Prints {problem} and ends with exit code 2 if the weights cannot be
used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from trainer.failures import CheckpointDamaged
from trainer.inference import trained
from trainer.inference.predict import NICENESS, REFUSED
from trainer.inference.trained import TrainedModel
from trainer.machine.process import die_with

FORMATS = ("keras", "onnx")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.inference.export", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("weights", type=Path, help="best.safetensors of a run")
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--parent", type=int, default=None, help="end when this process has ended")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with(arguments.parent)
    os.nice(NICENESS)
    try:
        export_model(trained.load_trained(arguments.weights), arguments.format, arguments.file)
    except CheckpointDamaged as problem:
        sys.stdout.write(json.dumps({"problem": str(problem)}) + "\n")
        sys.exit(REFUSED)


def export_model(model: TrainedModel, kind: str, file: Path) -> None:
    """`kind`: one of FORMATS. ONNX is written without importing Keras."""
    if kind == "onnx":
        from trainer.inference.onnx_model import build_onnx

        file.write_bytes(build_onnx(model).SerializeToString())
        return
    from trainer.engine.backend import open_backend
    from trainer.machine.devices import installed_backends

    open_backend(installed_backends()[0], None)
    from trainer.inference.keras_model import build_keras

    temporary = file.with_name(f"{file.name}.keras")  # Keras requires this suffix
    build_keras(model).save(temporary)
    temporary.rename(file)


if __name__ == "__main__":
    main()
