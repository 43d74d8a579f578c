"""How much disk is left, when that is little, and what errors of a disk mean."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import httpx2
import pysqlite3
import pytest
from fastapi.testclient import TestClient

from app.errors import Busy, DiskFails, StorageFull, Trouble
from app.records import disk as storage
from app.records.disk import Disk, explain_disk_error, format_bytes, free_space, storage_notice
from app.web.deps import State
from tests.app.support.cast import SPACE, site_in
from tests.app.support.other_programs import fill, small_disk

GB = 10**9


def failing(code: int) -> pysqlite3.OperationalError:
    """As the driver raises it."""
    error = pysqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("free", "total", "is_low", "is_full"),
    [
        (72 * GB, 252 * GB, False, False),
        (5 * GB, 252 * GB, True, False),  # less than 2 %
        (2 * GB, 20 * GB, False, False),
        (10**9, 20 * GB, True, False),  # less than 1 GiB
        (10**7, 20 * GB, True, True),
        (0, 0, True, True),
    ],
)
def test_a_disk_is_low_below_one_gibibyte_or_two_per_cent(free: int, total: int, is_low: bool, is_full: bool):
    assert (Disk(free, total).is_low, Disk(free, total).is_full) == (is_low, is_full)


def test_the_disk_is_the_one_that_df_sees(tmp_path: Path):
    asked = ["df", "--block-size=1", "--output=avail,size", str(tmp_path)]
    available, total = map(int, subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[-2:])
    found = free_space(tmp_path)

    assert found.total == total
    assert abs(found.free - available) < GB


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (72_100_000_000, "72.1 GB"),
        (252_000_000_000, "252 GB"),
        (4_000_000_000_000_000, "4000 TB"),
    ],
)
def test_sizes_are_said_in_three_digits(number: int, words: str):
    assert format_bytes(number) == words.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (failing(5), Busy),  # SQLITE_BUSY
        (failing(517), Busy),  # SQLITE_BUSY_SNAPSHOT
        (failing(6), Busy),  # SQLITE_LOCKED
        (failing(13), StorageFull),  # SQLITE_FULL
        (failing(1034), DiskFails),  # SQLITE_IOERR_FSYNC, and there is room
        (failing(8), DiskFails),  # SQLITE_READONLY
        (OSError(errno.ENOSPC, "x"), StorageFull),
        (OSError(errno.EDQUOT, "x"), StorageFull),
        (OSError(errno.EIO, "x"), DiskFails),
        (OSError(errno.EROFS, "x"), DiskFails),
    ],
)
def test_errors_of_the_disk_have_names(error: Exception, means: type[Trouble], tmp_path: Path):
    assert type(explain_disk_error(error, tmp_path)) is means
    with pytest.raises(means), storage.disk_errors(tmp_path):
        raise error


@pytest.mark.parametrize("error", [failing(1), failing(19), OSError(errno.ENOENT, "x"), ValueError("x")])
def test_errors_that_are_none_of_the_disk_s_stay_what_they_are(error: Exception, tmp_path: Path):
    assert explain_disk_error(error, tmp_path) is None
    with pytest.raises(type(error)) as caught, storage.disk_errors(tmp_path):
        raise error
    assert caught.value is error


def test_an_error_means_what_it_came_from(tmp_path: Path):
    def write() -> None:
        try:
            raise OSError(errno.ENOSPC, "x")
        except OSError as error:
            raise ValueError("could not write") from error

    with pytest.raises(StorageFull), storage.disk_errors(tmp_path):
        write()


def test_what_sqlite_calls_an_io_error_is_a_full_disk_where_nothing_more_fits(tmp_path: Path):
    with small_disk(tmp_path / "disk", 1) as small:
        assert type(explain_disk_error(failing(10), small)) is DiskFails
        fill(small)
        assert type(explain_disk_error(failing(10), small)) is StorageFull


def test_pages_say_nothing_where_all_is_well_and_say_what_is_wrong(tmp_path: Path):
    with small_disk(tmp_path / "disk", 100) as small:
        low = storage_notice(small, None)
        assert low and not low.is_bad
        assert f"of 105{SPACE}MB are free" in low.sentence and str(small) in low.sentence
        fill(small)
        full = storage_notice(small, None)
        assert full and full.is_bad

    trouble = storage_notice(tmp_path, "the database is locked: ask again")
    assert trouble and trouble.is_bad and trouble.sentence == "The database is locked: ask again."


def test_the_disk_is_among_the_figures(client: TestClient, state: State):
    figures = dict(line.split(" ") for line in client.get("/metrics").text.splitlines() if line[0] != "#")

    found = free_space(state.settings.data_dir)
    assert float(figures["pitwall_disk_total_bytes"]) == found.total
    assert abs(float(figures["pitwall_disk_free_bytes"]) - found.free) < GB
    assert figures["pitwall_records_writable"] == "1.0"


def test_a_disk_that_is_low_is_told_on_every_page_but_that_of_the_login(tmp_path: Path):
    with small_disk(tmp_path / "disk", 100) as small, site_in(small / "data") as site:
        for path in ("/", "/runs", "/runs/new"):
            page = httpx2.get(site.url + path).text
            assert page.count('role="alert"') == 1 and "Storage is nearly full." in page, path
            assert "data-bad" not in page
        assert "Storage is nearly full." not in httpx2.get(f"{site.url}/login").text
