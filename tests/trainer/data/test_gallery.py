"""Pictures without their data set: the rows of the file are the rows of a run, and nothing odd is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.app.support.cast import until
from tests.app.support.small_data import CIFAR, made
from tests.app.support.source_tree import ROOT
from tests.trainer.conftest import published_cifar10, tar_of
from trainer.augment.normalisation import compute_normalisation
from trainer.data import datasets
from trainer.data.gallery import Gallery, ImageFile
from trainer.failures import DatasetDamaged, DatasetMissing, RecipeMistake
from trainer.recipe import Dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def gallery(root: Path, tmp_path: Path) -> Gallery:
    return Gallery(root, tmp_path / "previews")


def files_of(gallery: Gallery) -> dict[str, int]:
    """What is laid out: names and times."""
    return {path.name: path.stat().st_mtime_ns for path in gallery.cache.glob("*")} if gallery.cache.is_dir() else {}


@pytest.mark.parametrize("name", ["digits", "cifar10", "folder:pets"])
@pytest.mark.parametrize(
    "limits", [{}, {"train_limit": 7}, {"val_from_train": 4}, {"val_from_train": 4, "train_limit": 7}]
)
def test_the_pictures_are_those_that_a_run_would_train_on(gallery: Gallery, root: Path, name: str, limits: dict):
    dataset = Dataset(name=made(name, root), **limits)
    data = datasets.load(dataset, root, print)

    shelf = gallery.training(dataset)

    numbers = np.random.default_rng(0).permutation(len(data.train_labels))
    assert len(shelf.images) == len(data.train_images) == len(shelf.labels)
    assert shelf.images.shape == data.train_images.shape
    np.testing.assert_array_equal(shelf.images[numbers], data.train_images[numbers])
    np.testing.assert_array_equal(shelf.images[2:5], data.train_images[2:5])
    np.testing.assert_array_equal(shelf.images[3:10_000], data.train_images[3:])
    np.testing.assert_array_equal(shelf.labels, data.train_labels)
    assert shelf.classes == data.classes


def test_an_archive_that_is_not_the_published_one_is_damaged_and_not_fetched_anew(gallery: Gallery, root: Path):
    root.mkdir()
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(tar_of(CIFAR, published_cifar10()))

    with pytest.raises(DatasetDamaged, match=r"cifar-10-python\.tar\.gz"):
        gallery.training(Dataset(name="cifar10"))

    assert [path.name for path in root.iterdir()] == [archive.name]


def test_standardised_pictures_are_the_same_bits_from_the_file_as_from_arrays(gallery: Gallery, root: Path):
    dataset = Dataset(name=made("cifar10", root))
    images = datasets.load(dataset, root, print).train_images

    for kind in ("standardised", "0..1"):
        from_file = compute_normalisation(kind, gallery.training(dataset).images)
        for ours, theirs in zip(from_file, compute_normalisation(kind, images), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_limits_change_the_key_and_so_do_other_files(gallery: Gallery, root: Path):
    made("cifar10", root)
    first = gallery.training(Dataset(name="cifar10"))

    limited = gallery.training(Dataset(name="cifar10", train_limit=50))
    batch = root / CIFAR / "data_batch_3"
    os.utime(batch, ns=(batch.stat().st_atime_ns, batch.stat().st_mtime_ns + 1_000_000_000))

    assert len({first.key, limited.key, gallery.training(Dataset(name="cifar10")).key}) == 3


def test_a_data_set_is_laid_out_once_and_anew_when_its_files_change(gallery: Gallery, root: Path):
    dataset = Dataset(name=made("cifar10", root))
    gallery.training(dataset)
    before = files_of(gallery)
    assert len(before) == 2

    gallery.training(dataset)
    Gallery(root, gallery.cache).training(Dataset(name="cifar10", train_limit=3))
    assert files_of(gallery) == before

    for name, content in published_cifar10(rows=21).items():
        (root / CIFAR / name).write_bytes(content)
    assert len(gallery.training(dataset).labels) == 105
    assert len(files_of(gallery)) == 2
    assert not set(files_of(gallery)) & set(before)


def test_a_picture_that_is_added_to_a_folder_is_seen(gallery: Gallery, root: Path):
    dataset = Dataset(name=made("folder:pets", root))
    assert len(gallery.training(dataset).labels) == 10

    Image.new("RGB", (8, 8), (1, 2, 3)).save(root / "pets" / "train" / "dog" / "new.png")

    shelf = gallery.training(dataset)
    is_new = (shelf.images[:] == np.array([1, 2, 3])).all(axis=(1, 2, 3))
    assert len(shelf.labels) == 11
    assert [shelf.classes[label] for label in shelf.labels[is_new]] == ["dog"]


def test_one_folder_s_files_are_not_another_s_whose_name_begins_alike(gallery: Gallery, root: Path):
    gallery.training(Dataset(name=made("folder:a-b", root)))
    before = files_of(gallery)

    gallery.training(Dataset(name=made("folder:a", root)))

    assert files_of(gallery).items() > before.items()


def test_two_threads_lay_a_data_set_out_once(gallery: Gallery, root: Path):
    dataset = Dataset(name=made("cifar10", root))
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(gallery.training(dataset).key)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 4 and len(set(keys)) == 1
    assert len(files_of(gallery)) == 2


def test_what_is_not_here_is_not_fetched(gallery: Gallery, root: Path):
    root.mkdir()
    for name in ("cifar10", "cifar100"):
        with pytest.raises(DatasetMissing, match="is not on this machine yet") as missing:
            gallery.training(Dataset(name=name))
        assert "downloaded" in missing.value.hint
    with pytest.raises(DatasetMissing, match="there is no data set"):
        gallery.training(Dataset(name="folder:gone"))

    assert list(root.iterdir()) == []
    assert files_of(gallery) == {}


def test_more_pictures_held_out_than_there_are_is_a_mistake_of_the_recipe(gallery: Gallery, root: Path):
    with pytest.raises(RecipeMistake, match="val_from_train"):
        gallery.training(Dataset(name=made("cifar10", root), val_from_train=100))


def test_damaged_files_give_a_sentence_and_are_tried_once_in_each_state(root: Path, tmp_path: Path):
    dataset = Dataset(name=made("cifar10", root))
    batch = root / CIFAR / "data_batch_2"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:100])
    started: list[Any] = []

    def counted(*command: Any, **more: Any) -> Any:
        started.append(command)
        return subprocess.run(*command, **more)  # noqa: PLW1510  # the gallery passes it

    gallery = Gallery(root, tmp_path / "previews", run=counted)
    for _ in range(3):
        with pytest.raises(DatasetDamaged, match="data_batch_2 is damaged: it cannot be read") as damaged:
            gallery.training(dataset)
        assert "\n" not in str(damaged.value) and "Traceback" not in str(damaged.value)
    assert len(started) == 1
    assert files_of(gallery) == {}

    batch.write_bytes(whole)
    os.utime(batch, ns=(batch.stat().st_atime_ns, batch.stat().st_mtime_ns + 1_000_000_000))
    assert len(gallery.training(dataset).labels) == 100
    assert len(started) == 2


def test_a_reader_that_is_killed_is_a_sentence_too(root: Path, tmp_path: Path):
    """As the kernel does where memory is short: it says nothing on its way out."""
    dataset = Dataset(name=made("cifar10", root))
    killed = ["bash", "-c", "kill -KILL $$"]

    def run(_: list[str], **more: Any) -> Any:
        return subprocess.run(killed, **more)  # noqa: PLW1510  # the gallery passes it

    gallery = Gallery(root, tmp_path / "previews", run=run)
    with pytest.raises(DatasetDamaged, match="the process that read cifar10 ended with -9"):
        gallery.training(dataset)


def test_a_data_set_that_takes_too_long_is_refused(root: Path, tmp_path: Path):
    dataset = Dataset(name=made("cifar10", root))
    gallery = Gallery(root, tmp_path / "hurried", patience_s=0.01)

    with pytest.raises(DatasetDamaged, match="too long for a preview"):
        gallery.training(dataset)
    assert files_of(gallery) == {}


def test_nothing_half_written_is_read_after_a_kill_and_the_next_one_clears_up(gallery: Gallery, root: Path):
    dataset = Dataset(name=made("cifar10", root))
    gallery.training(dataset)
    path = next(gallery.cache.glob("*.rgb"))
    for old in gallery.cache.iterdir():
        old.unlink()
    slow = f"""
import numpy, os, sys, time
sys.argv = ["gallery", "cifar10", "--datasets", {str(root)!r}, "--to", {str(path)!r}]
from trainer.data import gallery
whole = numpy.concatenate
class Slow(numpy.ndarray):
    def tofile(self, file):
        file.write_bytes(b"half")
        time.sleep(60)
numpy.concatenate = lambda arrays: whole(arrays).view(Slow)
gallery.main()
"""
    process = subprocess.Popen([sys.executable, "-c", slow], cwd=ROOT)
    until(lambda: [one for one in gallery.cache.glob(".*") if one.read_bytes() == b"half"])
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert not path.exists()

    assert len(gallery.training(dataset).images[:]) == 100
    assert sorted(one.name for one in gallery.cache.iterdir()) == [f"{path.stem}.npz", path.name]


def test_a_file_of_pictures_is_rows_as_an_array_has_them(tmp_path: Path):
    array = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    array.tofile(tmp_path / "some.rgb")
    file = ImageFile(tmp_path / "some.rgb", 9)

    for asked in (slice(0, 0), slice(2, 3), slice(None), slice(7, 99), slice(-2, None), np.array([8, 0, 0, 3])):
        np.testing.assert_array_equal(file[asked], array[asked])
    assert file[np.zeros(0, np.int64)].shape == (0, 32, 32, 3)
    assert (len(file), file.shape) == (9, array.shape)
