"""A trained net away from its training: NumPy, plain Keras and ONNX give what the net itself gives."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.failures import CheckpointDamaged
from trainer.inference import export, trained
from trainer.loop import checkpoint_file
from trainer.loop.checkpoint_file import Checkpoint, Metadata, RunPosition
from trainer.models.architectures import build_layers
from trainer.models.forward import softmax
from trainer.presets import PRESETS
from trainer.presets.preset import with_parts
from trainer.recipe import Recipe

pytestmark = pytest.mark.keras

CLASSES = ["cat", "dog", "<b>frog</b>", "horse", "ship"]
# epoch 3 was the best with TTA; without it, as the exported model predicts, it had 0.875
HISTORY = [{"epoch": epoch, "val_accuracy": 0.5 + epoch / 8, "tta_accuracy": None} for epoch in (1, 2, 3)]
SCALE, SHIFT = np.array([60, 61, 62], np.float32), np.array([2, 1.9, 1.8], np.float32)
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def narrow(preset: str, width: int, **knobs: Any) -> Recipe:
    recipe = PRESETS[preset].recipe
    return with_parts(recipe, model=recipe.model.model_copy(update={"width": width, **knobs}))


NETS = {
    "the first": narrow("quickstart", 4, identity=True),
    "page": narrow("page-2018", 3, logit_scale=0.125),
    "tricks": narrow("reliable-94-small", 4),
    "airbench": narrow("airbench-like", 4),
}


@pytest.fixture(scope="module", params=NETS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The file of a net with weights as after a training, and what the net itself makes of PICTURES."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
        from trainer.engine.model import build_model
        from trainer.models.whitening import compute_filters

    recipe, generator = NETS[request.param], np.random.default_rng(1)
    whitening = compute_filters(recipe.model, PICTURES, (SCALE, SHIFT))
    net = build_model(build_layers(recipe.model, len(CLASSES)), "keras", whitening)
    tensors = {}
    for layer in net.layers:
        for variable in layer.weights:
            drawn = np.asarray(variable) + generator.normal(0, 0.05, variable.shape).astype(np.float32)
            if variable.name in {"moving_variance", "gamma"}:
                drawn = generator.uniform(0.5, 2, variable.shape).astype(np.float32)
            variable.assign(drawn)
            tensors[f"{layer.name}/{variable.name}"] = drawn
    metadata = Metadata(
        RunPosition(epoch=4, best_epoch=3, best_accuracy=0.9, history=HISTORY), recipe.model_dump(mode="json"),
        "f" * 64, {}, CLASSES, [SCALE.tolist(), SHIFT.tolist()],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("net") / "best.safetensors"
    checkpoint_file.write_checkpoint(path, Checkpoint(metadata, tensors))
    logits = np.asarray(net(PICTURES / SCALE - SHIFT, training=False))
    return path, softmax(logits)


def test_numpy_gives_what_keras_gives(case: tuple[Path, np.ndarray]):
    path, truth = case
    found = trained.load_trained(path)
    assert (found.epoch, found.val_accuracy) == (3, 0.875)
    assert found.classes == CLASSES
    shares = found.probabilities(PICTURES)
    assert np.abs(shares - truth).max() < 1e-5
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert truth.std() > 0.01, "the nets take the pictures for something"


def test_onnx_gives_the_same_in_another_runtime(case: tuple[Path, np.ndarray], tmp_path: Path):
    import onnxruntime

    path, truth = case
    export.export_model(trained.load_trained(path), "onnx", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (shares,) = session.run(["probabilities"], {"pictures": PICTURES.astype(np.float32)})
    assert np.abs(shares - truth).max() < 1e-5
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known["classes"]) == CLASSES
    assert (known["epoch"], known["epoch_is"], known["val_accuracy"]) == ("3", "best", "0.875")


def test_the_keras_file_needs_no_pitwall(case: tuple[Path, np.ndarray], tmp_path: Path):
    path, truth = case
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "trainer.inference.export", str(path), "keras", str(tmp_path / "net.keras")]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)
    np.save(tmp_path / "pictures.npy", PICTURES)
    program = (
        "import sys; sys.path = [p for p in sys.path if p not in ('', sys.argv[1])]; import keras, numpy\n"
        "net = keras.saving.load_model('net.keras'); assert 'trainer' not in sys.modules\n"
        "numpy.save('shares.npy', net.predict(numpy.load('pictures.npy').astype('float32'), verbose=0))"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(root)], cwd=tmp_path, check=True, capture_output=True, timeout=120
    )
    assert np.abs(np.load(tmp_path / "shares.npy") - truth).max() < 1e-5


def test_weights_of_an_earlier_version_say_so(tmp_path: Path):
    metadata = Metadata(RunPosition(epoch=1), NETS["page"].model_dump(mode="json"), "f" * 64, {})
    checkpoint_file.write_checkpoint(
        tmp_path / "best.safetensors", Checkpoint(metadata, {"Conv1/kernel": np.zeros(1, np.float32)})
    )
    with pytest.raises(CheckpointDamaged, match="earlier version"):
        trained.load_trained(tmp_path / "best.safetensors")
