"""Data for the trainer's tests: tiny data sets in the published layouts, and the real CIFAR-10 if it is available."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent.parent
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def published_cifar10(rows: int = 20) -> dict[str, bytes]:
    """Files of the published CIFAR-10 folder, with few enough images for a test to write."""
    generator = np.random.default_rng(0)
    files = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {
            b"batch_label": name.encode(),
            b"labels": [int(label) for label in generator.integers(0, 10, rows)],
            b"data": generator.integers(0, 256, (rows, 3072), dtype=np.uint8),
            b"filenames": [b"x.png"] * rows,
        }
        files[name] = pickle.dumps(batch, protocol=2)
    meta = {b"label_names": [name.encode() for name in NAMES], b"num_cases_per_batch": rows, b"num_vis": 3072}
    files["batches.meta"] = pickle.dumps(meta, protocol=2)
    return files


def tar_of(folder: str, files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def note(notes: list[str]) -> Callable[[str], None]:
    return notes.append


@pytest.fixture(scope="session")
def real_cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of CIFAR-10 in the published layout, if there is a copy beside the checkout."""
    script = REPOSITORY.parent / "shared" / "data" / "unpack_cifar10.py"
    if not script.is_file():
        pytest.skip("no copy of CIFAR-10 beside the checkout")
    root = tmp_path_factory.mktemp("cifar")
    subprocess.run([sys.executable, str(script), str(root)], check=True, capture_output=True)
    return root


@pytest.fixture(scope="session", autouse=True)
def frameworks_warn_in_peace() -> None:
    """Ignore third parties' deprecation warnings at import; ours stay errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trainer.augment.imgaug_shim import import_imgaug

        import_imgaug()


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """Import Keras on TensorFlow before a test calls the trainer's functions. Warnings of the import are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trainer.engine.backend import import_framework

        import_framework("tensorflow")
