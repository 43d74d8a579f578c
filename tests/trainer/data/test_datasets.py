"""What the data sets are, and what a recipe's limits make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.conftest import published_cifar10, write_folder
from trainer.data.datasets import DatasetDamaged, DatasetMissing, find_dataset, list_datasets, load
from trainer.failures import RecipeMistake
from trainer.recipe import Dataset

Note = Callable[[str], None]


def pictures(home: Path, *, per_class: int = 6, classes: tuple[str, ...] = ("cat", "dog", "owl")) -> None:
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in classes:
            folder = home / split / name
            folder.mkdir(parents=True)
            for number in range(per_class):
                size = (48 + number, 30, 3)
                Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{number}.png")


def test_digits_are_1497_and_300_pictures_with_thirty_of_each_held_out(tmp_path: Path, note: Note):
    data = load(Dataset(name="digits"), tmp_path, note)
    assert data.train_images.shape == (1497, 32, 32, 3)
    assert data.val_images.shape == (300, 32, 32, 3)
    assert data.train_images.dtype == np.uint8
    assert data.train_labels.dtype == np.int64
    assert np.bincount(data.val_labels).tolist() == [30] * 10
    assert np.bincount(data.train_labels).min() >= 144
    assert data.classes == tuple("0123456789")
    assert (data.train_images.min(), data.train_images.max()) == (0, 255)
    assert len(data.fingerprint) == 64


def test_a_zero_has_a_hole_and_a_one_does_not(tmp_path: Path, note: Note):
    data = load(Dataset(name="digits"), tmp_path, note)
    middle = [data.train_images[data.train_labels == digit, 14:18, 14:18].mean() for digit in (0, 1)]
    assert middle[0] < 60 < 180 < middle[1]


def test_the_fingerprint_follows_the_pictures_used(tmp_path: Path, note: Note):
    one, same, fewer = (
        load(Dataset(name="digits", train_limit=limit), tmp_path, note).fingerprint for limit in (500, 500, 499)
    )
    assert one == same != fewer


def test_limits_take_the_first_of_an_order_that_mixes_the_classes(tmp_path: Path, note: Note):
    whole = load(Dataset(name="digits"), tmp_path, note)
    some = load(Dataset(name="digits", train_limit=100, val_limit=50), tmp_path, note)
    np.testing.assert_array_equal(some.train_images, whole.train_images[:100])
    np.testing.assert_array_equal(some.val_labels, whole.val_labels[:50])
    assert len(set(some.train_labels.tolist())) == 10


def test_held_out_pictures_come_from_training_and_are_not_trained_on(tmp_path: Path, note: Note):
    whole = load(Dataset(name="digits"), tmp_path, note)
    data = load(Dataset(name="digits", val_from_train=200), tmp_path, note)
    np.testing.assert_array_equal(data.train_images, whole.train_images[:1297])
    np.testing.assert_array_equal(data.val_images, whole.train_images[1297:])
    with pytest.raises(RecipeMistake, match=r"dataset\.val_from_train"):
        load(Dataset(name="digits", val_from_train=1497), tmp_path, note)


def test_every_data_set_is_described_with_what_is_known_without_its_files(tmp_path: Path):
    pictures(tmp_path / "pets")
    (tmp_path / "not one").mkdir()
    digits, cifar10, cifar100, pets = list_datasets(tmp_path)
    assert (digits.train_images, digits.val_images, digits.available) == (1497, 300, True)
    assert (cifar10.train_images, cifar10.val_images, cifar10.available) == (50_000, 10_000, False)
    assert "download" in cifar10.note
    assert "ship" in cifar10.classes
    assert cifar100.train_images == 50_000
    assert (pets.name, pets.train_images, pets.val_images) == ("folder:pets", 18, 18)
    assert pets.classes == ("cat", "dog", "owl")


def test_cifar10_is_available_once_its_folder_is_there(tmp_path: Path):
    write_folder(tmp_path / "cifar-10-batches-py", published_cifar10())
    assert find_dataset("cifar10", tmp_path).available


def test_a_folder_of_pictures_becomes_small_squares_with_mixed_classes(tmp_path: Path, note: Note):
    pictures(tmp_path / "pets")
    (tmp_path / "pets" / "train" / "cat" / "notes.txt").write_text("not a picture")
    data = load(Dataset(name="folder:pets", train_limit=9), tmp_path, note)
    assert data.train_images.shape == (9, 32, 32, 3)
    assert data.val_images.shape == (18, 32, 32, 3)
    assert set(data.train_labels.tolist()) == {0, 1, 2}
    again = load(Dataset(name="folder:pets", train_limit=9), tmp_path, note)
    assert again.fingerprint == data.fingerprint


def test_grey_transparent_and_jpeg_pictures_are_read_as_colours(tmp_path: Path, note: Note):
    pictures(tmp_path / "pets", per_class=1, classes=("a", "b"))
    train = tmp_path / "pets" / "train"
    Image.new("L", (10, 10), 77).save(train / "a" / "grey.PNG")
    Image.new("RGBA", (10, 10), (77, 77, 77, 10)).save(train / "a" / "clear.png")
    Image.new("RGB", (10, 10), (77, 77, 77)).save(train / "b" / "photo.jpeg")
    data = load(Dataset(name="folder:pets"), tmp_path, note)
    assert sum(bool((picture == 77).all()) for picture in data.train_images) == 3


def test_a_folder_that_is_not_there_is_named_with_the_layout_it_should_have(tmp_path: Path, note: Note):
    with pytest.raises(DatasetMissing, match="birds") as caught:
        load(Dataset(name="folder:birds"), tmp_path, note)
    assert str(tmp_path / "birds" / "train") in caught.value.hint
    with pytest.raises(DatasetMissing):
        find_dataset("folder:birds", tmp_path)
    with pytest.raises(DatasetMissing):
        find_dataset("folder:../birds", tmp_path)


def test_a_torn_picture_is_named(tmp_path: Path, note: Note):
    pictures(tmp_path / "pets")
    torn = tmp_path / "pets" / "test" / "dog" / "3.png"
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(DatasetDamaged, match=r"test/dog/3\.png"):
        load(Dataset(name="folder:pets"), tmp_path, note)


def test_classes_must_be_the_same_in_both_halves(tmp_path: Path, note: Note):
    pictures(tmp_path / "pets")
    (tmp_path / "pets" / "train" / "fish").mkdir()
    with pytest.raises(DatasetDamaged, match="fish"):
        load(Dataset(name="folder:pets"), tmp_path, note)
    info = list_datasets(tmp_path)[-1]
    assert not info.available
    assert "fish" in info.note


def test_links_cannot_lead_out_of_the_data_folder(tmp_path: Path, note: Note):
    root = tmp_path / "datasets"
    pictures(tmp_path / "secret")
    root.mkdir()
    (root / "escape").symlink_to(tmp_path / "secret")
    with pytest.raises(DatasetMissing):
        load(Dataset(name="folder:escape"), root, note)
    pictures(root / "pets")
    (root / "pets" / "train" / "cat" / "9.png").symlink_to(tmp_path / "secret" / "train" / "cat" / "0.png")
    with pytest.raises(DatasetDamaged, match="leads out"):
        load(Dataset(name="folder:pets"), root, note)


@pytest.mark.parametrize("name", ["folder:..", "folder:a/b", "folder:", "folder:.hidden", "/etc"])
def test_names_that_are_paths_are_no_data_sets(tmp_path: Path, name: str):
    with pytest.raises(DatasetMissing):
        find_dataset(name, tmp_path)


@pytest.mark.thorough
def test_a_real_copy_of_cifar10_is_read_whole(real_cifar: Path, note: Note):
    data = load(Dataset(name="cifar10"), real_cifar, note)
    assert data.train_images.shape == (50_000, 32, 32, 3)
    assert data.val_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert data.classes[8] == "ship"
    # Known of the published training set: mean 125.3, 123.0, 113.9; recompression moves it little.
    np.testing.assert_allclose(data.train_images.mean(axis=(0, 1, 2)), [125.3, 123.0, 113.9], atol=0.5)
