"""What is refused before the records are opened, with what to do in one line."""

from __future__ import annotations

from pathlib import Path

import pysqlite3
import pytest

from app.errors import Refusal
from app.records.database import Records
from app.records.startup_checks import file_system, local_file, safe_sqlite


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 99), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_only_versions_of_sqlite_without_the_reset_race_are_safe(version: tuple[int, ...], is_safe: bool):
    assert safe_sqlite(version) is is_safe


def test_the_sqlite_that_we_bring_is_safe():
    assert safe_sqlite(pysqlite3.sqlite_version_info)


def test_an_unsafe_sqlite_is_refused_with_what_to_do(settings):
    with pytest.raises(Refusal, match=r"SQLite 3\.40\.1 .*requirements-web\.txt"):
        local_file(settings.url, version=(3, 40, 1))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://localhost/pitwall"])
def test_what_is_no_sqlite_file_is_refused(url: str):
    with pytest.raises(Refusal, match="PITWALL_DATABASE_URL"):
        Records(url)


def test_the_file_system_is_the_one_mounted_deepest(tmp_path: Path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "overlay / overlay rw 0 0\n"
        "server:/x /srv nfs4 rw 0 0\n"
        "/dev/sdb /srv/local ext4 rw 0 0\n"
        "//nas/a /mnt/two\\040words cifs rw 0 0\n"
        "/dev/sdc /srvother xfs rw 0 0\n"
    )
    folders = {
        "/": "overlay",
        "/home/me": "overlay",
        "/srv": "nfs4",
        "/srv/data/deep": "nfs4",
        "/srv/local/data": "ext4",
        "/mnt/two words/data": "cifs",
        "/srvother/data": "xfs",
        "/srvo": "overlay",
    }

    assert {folder: file_system(Path(folder), mounts) for folder in folders} == folders
    assert file_system(Path("/"), tmp_path / "missing") == ""


def test_a_network_file_system_is_refused(settings, tmp_path: Path):
    mounts = tmp_path / "mounts"
    mounts.write_text("server:/x / nfs4 rw 0 0\n")

    with pytest.raises(Refusal, match=r"nfs4.*PITWALL_DATA_DIR"):
        local_file(settings.url, mounts=mounts)


def test_a_second_server_on_the_same_records_is_refused_until_the_first_has_gone(settings):
    first = Records(settings.url)
    with pytest.raises(Refusal, match="another Pitwall serves"):
        Records(settings.url)

    first.close()
    Records(settings.url).close()
