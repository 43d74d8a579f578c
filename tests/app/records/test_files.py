"""The one resolver of file names, and logs that arrive in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import NotFound
from app.records.files import inside, log_path, read_log, remove_all_of, write_log

ESCAPES = [
    "", ".", "..", "/", "\\", "../x", "..\\x", "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "//etc/passwd",
    "\\\\host\\share", "C:\\x", "C:/x", "a/b", "a\\b", "a/", "a/.", "a/..", "a/../..", "./a", "./../a", "....//a",
    "..././a", ".../...//", "..%2f/x", "..%5c\\x", "%2e%2e/x", "%2e%2e%2f/../x", "\0", "a\0b", "a\0.png", "../\0",
    "..\0/", "\0/../x", "x/\0", "~/x", "~root/x", "$HOME/x", "file:///etc/passwd", "http://evil.example/x",
    "..;/x", "..\u2215x/", "\u2024\u2024/x", "..\uff0fx/..", "\uff0e\uff0e/x", "a//b", "a/./b", "/proc/self/environ",
    "../runs", "..//..//", "..\n/x",
]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leads_elsewhere_is_not_found(tmp_path: Path, name: str):
    root = tmp_path / "root"
    root.mkdir()

    with pytest.raises(NotFound):
        inside(root, name)
    with pytest.raises(NotFound):
        inside(root, "runs", name, "log")


def test_there_were_enough_of_them():
    assert len(set(ESCAPES)) >= 50


@pytest.mark.parametrize("name", ["a", "a.png", "...", "..a", "a..", "-rf", "a b", "%2e%2e", "~", "é", "C:x", "..%2f"])
def test_an_odd_but_harmless_name_stays_inside(tmp_path: Path, name: str):
    assert inside(tmp_path, name).parent == tmp_path


def test_a_link_that_leads_elsewhere_is_not_found(tmp_path: Path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "nowhere").symlink_to(tmp_path / "missing")
    (root / "up").symlink_to("..")

    for parts in (("folder",), ("folder", "secret"), ("file",), ("nowhere",), ("up",), ("up", "outside")):
        with pytest.raises(NotFound):
            inside(root, *parts)


def test_a_link_that_stays_inside_is_followed(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")

    assert inside(tmp_path, "b").read_text() == "x"


def test_a_root_behind_a_link_is_a_root_all_the_same(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")

    assert inside(tmp_path / "root", "a") == tmp_path / "root" / "a"


def test_a_neighbour_whose_name_begins_alike_is_elsewhere(tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root" / "x").symlink_to(tmp_path / "root2")

    with pytest.raises(NotFound):
        inside(tmp_path / "root", "x")


# logs


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_path(tmp_path, 7, 1)


def test_pieces_of_a_log_are_laid_end_to_end(log: Path):
    size = write_log(log, 0, 0, "first\n")
    size = write_log(log, size, size, "größer\n")

    assert size == len("first\ngrößer\n".encode())
    assert log.read_text() == "first\ngrößer\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_piece_that_arrives_twice_is_there_once(log: Path):
    size = write_log(log, 0, 0, "first\n")

    assert write_log(log, 0, size, "first\n") == size
    assert write_log(log, 0, size, "") == size
    assert log.read_text() == "first\n"


def test_a_piece_that_overlaps_adds_what_is_new(log: Path):
    size = write_log(log, 0, 0, "first\n")

    assert write_log(log, 0, size, "first\nsecond\n") == 13
    assert log.read_text() == "first\nsecond\n"


def test_after_a_gap_nothing_is_written(log: Path):
    size = write_log(log, 0, 0, "first\n")

    assert write_log(log, size + 1, size, "third\n") == size
    assert log.read_text() == "first\n"


def test_a_piece_that_was_written_but_not_recorded_is_written_again(log: Path):
    write_log(log, 0, 0, "first\nlost")

    assert write_log(log, 0, 0, "first\n") == 6
    assert write_log(log, 6, 6, "second\n") == 13
    assert log.read_text() == "first\nsecond\n"


def test_a_log_is_not_written_through_a_planted_link(log: Path, tmp_path: Path):
    log.parent.mkdir(parents=True)
    log.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        write_log(log, 0, 0, "x")
    assert not (tmp_path / "elsewhere").exists()


def test_the_tail_of_a_log_begins_at_a_line(log: Path):
    write_log(log, 0, 0, "".join(f"line {number}\n" for number in range(100)))

    start, text = read_log(log, limit=20)

    assert text == "line 98\nline 99\n"
    assert start == log.stat().st_size - len(text)


def test_a_short_log_is_its_own_tail(log: Path):
    write_log(log, 0, 0, "one\ntwo")

    assert read_log(log) == (0, "one\ntwo")


def test_a_log_is_read_on_from_an_offset(log: Path):
    write_log(log, 0, 0, "one\ntwo\n")

    assert read_log(log, after=4) == (4, "two\n")
    assert read_log(log, after=8) == (8, "")
    assert read_log(log, after=99) == (8, "")
    assert read_log(log, after=0, limit=3) == (0, "one")


def test_a_log_that_is_not_there_is_empty(log: Path):
    assert read_log(log) == (0, "")
    assert read_log(log, after=5) == (0, "")


def test_a_tail_without_a_line_s_end_is_shown_all_the_same(log: Path):
    write_log(log, 0, 0, "x" * 100)

    start, text = read_log(log, limit=10)

    assert (start, text) == (90, "x" * 10)


@pytest.mark.parametrize("limit", [9, 10, 11, 12])
def test_a_reader_that_goes_on_after_a_cut_letter_misses_nothing_later(log: Path, limit: int):
    """What pages do: they send back the offset that follows what they were shown."""
    write_log(log, 0, 0, "日" * 50)
    start, text = read_log(log, limit=limit)
    following = start + len(text.encode())
    write_log(log, 150, 150, "the end\n")

    assert read_log(log, after=following)[1] == "the end\n"


def test_the_logs_of_a_run_are_removed_together(tmp_path: Path):
    for attempt in (1, 2):
        write_log(log_path(tmp_path, 7, attempt), 0, 0, "x")
    write_log(log_path(tmp_path, 77, 1), 0, 0, "x")

    remove_all_of(tmp_path, 7)
    remove_all_of(tmp_path, 7)

    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["77"]
