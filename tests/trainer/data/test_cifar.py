"""The published layout: folder and archive, torn files, hostile pickles, and fetching it."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.conftest import NAMES, published_cifar10, tar_of, write_folder
from trainer.data.cifar import CIFAR10, CIFAR100, PublishedDataset, read
from trainer.data.datasets import load
from trainer.data.downloads import download
from trainer.failures import DatasetDamaged, DatasetMissing
from trainer.recipe import Dataset

Note = Callable[[str], None]
FILES = published_cifar10()
ARCHIVE = tar_of(CIFAR10.folder, FILES)
TINY = replace(CIFAR10, sha256=hashlib.sha256(ARCHIVE).hexdigest())


@contextmanager
def served(content: bytes) -> Iterator[str]:
    """The URL of a real HTTP server that answers everything with `content`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_folder_is_read_in_its_published_order_with_red_first(tmp_path: Path, note: Note):
    write_folder(tmp_path / CIFAR10.folder, FILES)
    data = load(Dataset(name="cifar10"), tmp_path, note)
    assert data.train_images.shape == (100, 32, 32, 3)
    assert data.val_images.shape == (20, 32, 32, 3)
    assert data.classes == tuple(NAMES)
    second = pickle.loads(FILES["data_batch_2"], encoding="bytes")
    np.testing.assert_array_equal(data.train_images[20, :, :, 0].ravel(), second[b"data"][0, :1024])
    np.testing.assert_array_equal(data.train_labels[20:40], second[b"labels"])


def test_the_archive_gives_the_same_pictures_and_nothing_is_extracted(tmp_path: Path, note: Note):
    write_folder(tmp_path / "a" / CIFAR10.folder, FILES)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / TINY.archive).write_bytes(ARCHIVE)
    (images, labels), _, names = read(TINY, tmp_path / "b", note)
    (expected, expected_labels), _, expected_names = read(TINY, tmp_path / "a", note)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, expected_labels)
    assert names == expected_names
    assert [path.name for path in (tmp_path / "b").iterdir()] == [TINY.archive]


def test_cifar100_has_its_fine_labels(tmp_path: Path, note: Note):
    names = [f"thing {number}".encode() for number in range(100)]
    batch = {
        b"fine_labels": list(range(100)),
        b"coarse_labels": [0] * 100,
        b"data": np.zeros((100, 3072), dtype=np.uint8),
    }
    files = {
        "train": pickle.dumps(batch),
        "test": pickle.dumps(batch),
        "meta": pickle.dumps({b"fine_label_names": names}),
    }
    write_folder(tmp_path / CIFAR100.folder, files)
    data = load(Dataset(name="cifar100"), tmp_path, note)
    assert len(data.classes) == 100
    assert data.train_labels.tolist() == list(range(100))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_every_binary_protocol_are_read(tmp_path: Path, note: Note, protocol: int):
    files = {name: pickle.dumps(pickle.loads(content), protocol) for name, content in FILES.items()}
    write_folder(tmp_path / CIFAR10.folder, files)
    (images, _), _, _ = read(CIFAR10, tmp_path, note)
    assert images.shape == (100, 32, 32, 3)


@pytest.mark.parametrize(
    "content",
    [
        FILES["data_batch_3"][:-500],
        FILES["data_batch_3"][:7],
        b"",
        b"<html>404</html>",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": np.zeros((20, 3072)), b"labels": [0] * 20}),
        pickle.dumps({b"data": np.zeros((20, 3072), np.uint8), b"labels": [10] * 20}),
        pickle.dumps({b"data": np.zeros((19, 3072), np.uint8), b"labels": [0] * 19}),
        pickle.dumps({b"data": np.zeros((20, 3072), np.uint8), b"labels": [0] * 19}),
    ],
    ids=["torn", "stump", "empty", "html", "list", "floats", "label", "short", "unequal"],
)
def test_a_damaged_batch_is_named_with_what_to_do(tmp_path: Path, note: Note, content: bytes):
    write_folder(tmp_path / CIFAR10.folder, {**FILES, "data_batch_3": content})
    with pytest.raises(DatasetDamaged, match="data_batch_3") as caught:
        load(Dataset(name="cifar10"), tmp_path, note)
    assert str(tmp_path / CIFAR10.folder) in caught.value.hint


def test_a_missing_batch_is_named(tmp_path: Path, note: Note):
    write_folder(tmp_path / CIFAR10.folder, {name: FILES[name] for name in FILES if name != "test_batch"})
    with pytest.raises(DatasetDamaged, match="test_batch"):
        load(Dataset(name="cifar10"), tmp_path, note)


class Hostile:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], tuple(self.call[1:])


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "call",
    [(os.system, "touch hacked"), (eval, "open('hacked', 'w')"), (getattr, dict, "get"), (np.load, "x.npy")],
    ids=["system", "eval", "getattr", "numpy.load"],
)
def test_a_hostile_pickle_runs_nothing(
    tmp_path: Path, note: Note, monkeypatch: pytest.MonkeyPatch, call: tuple[object, ...], protocol: int
):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / CIFAR10.folder, {**FILES, "data_batch_1": pickle.dumps(Hostile(*call), protocol)})
    with pytest.raises(DatasetDamaged, match="no image needs"):
        load(Dataset(name="cifar10"), tmp_path, note)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("archive", [ARCHIVE[: len(ARCHIVE) // 2], b"not an archive", tar_of("other", FILES)])
def test_an_archive_that_cannot_be_read_is_damaged(tmp_path: Path, note: Note, archive: bytes):
    (tmp_path / TINY.archive).write_bytes(archive)
    published = replace(TINY, sha256=hashlib.sha256(archive).hexdigest())
    with pytest.raises(DatasetDamaged):
        read(published, tmp_path, note)


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path, note: Note):
    (tmp_path / CIFAR10.archive).write_bytes(ARCHIVE)
    with pytest.raises(DatasetDamaged, match="not the published archive"):
        load(Dataset(name="cifar10"), tmp_path, note)


def test_without_archive_and_network_the_place_to_put_it_is_named(tmp_path: Path, note: Note):
    url = f"http://127.0.0.1:{closed_port()}/cifar-10-python.tar.gz"
    with pytest.raises(DatasetMissing, match="refused") as caught:
        read(replace(TINY, url=url), tmp_path, note)
    assert url in caught.value.hint
    assert str(tmp_path) in caught.value.hint


def test_a_missing_archive_is_downloaded_checked_and_kept(tmp_path: Path, note: Note, notes: list[str]):
    with served(ARCHIVE) as url:
        published: PublishedDataset = replace(TINY, url=url)
        (images, _), _, _ = read(published, tmp_path, note)
    assert images.shape == (100, 32, 32, 3)
    assert (tmp_path / TINY.archive).read_bytes() == ARCHIVE
    read(published, tmp_path, note)  # the server is gone: read from the disk
    assert "100 %" in "\n".join(notes)


def test_progress_is_told_about_every_five_percent(tmp_path: Path, note: Note, notes: list[str]):
    content = bytes(1_000_000)
    with served(content) as url:
        download(url, hashlib.sha256(content).hexdigest(), tmp_path / "x.tar.gz", note)
    assert 18 <= sum("%" in line for line in notes) <= 21


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path, note: Note):
    with served(ARCHIVE + b"x") as url, pytest.raises(DatasetDamaged, match="checksum"):
        read(replace(TINY, url=url), tmp_path, note)
    assert not list(tmp_path.iterdir())
