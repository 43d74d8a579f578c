"""Compiled programs on the disk: private, found by the next process, and never used when they are not as noted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.machine.compile_cache import DIGESTS, CompileCache, open_cache


def filled(folder: Path) -> None:
    cache = CompileCache(folder)
    (folder / "program").write_bytes(b"machine code")
    (folder / "deeper").mkdir(exist_ok=True)
    (folder / "deeper" / "another").write_bytes(b"more of it")
    cache.record_digests()
    assert cache.status == "empty"


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_the_users_alone(tmp_path: Path):
    CompileCache(tmp_path / "compiled")
    assert (tmp_path / "compiled").stat().st_mode & 0o777 == 0o700


def test_what_was_noted_is_there_for_the_next_process(tmp_path: Path):
    filled(tmp_path)
    cache = CompileCache(tmp_path)
    assert cache.status == "used"
    assert names(tmp_path) == {"program", "deeper/another", DIGESTS}


@pytest.mark.parametrize("content", [b"", b"machine cod", b"Machine code", b"machine code\0"])
def test_a_damaged_program_is_thrown_away_and_the_others_stay(tmp_path: Path, content: bytes):
    filled(tmp_path)
    (tmp_path / "program").write_bytes(content)
    CompileCache(tmp_path)
    assert names(tmp_path) == {"deeper/another", DIGESTS}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
def test_without_good_notes_nothing_is_trusted(tmp_path: Path, content: bytes | None):
    filled(tmp_path)
    if content is None:
        (tmp_path / DIGESTS).unlink()
    else:
        (tmp_path / DIGESTS).write_bytes(content)
    assert CompileCache(tmp_path).status == "off"
    assert names(tmp_path) <= {DIGESTS}


def test_what_nobody_noted_is_thrown_away(tmp_path: Path):
    filled(tmp_path)
    (tmp_path / "planted").write_bytes(b"not ours")
    CompileCache(tmp_path)
    assert "planted" not in names(tmp_path)


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path):
    filled(tmp_path)
    os.utime(tmp_path / "program", (1, 1))
    CompileCache(tmp_path, max_bytes=12)
    assert names(tmp_path) == {"deeper/another", DIGESTS}


def test_where_there_can_be_no_folder_every_process_compiles_for_itself(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (None, tmp_path / "file", tmp_path / "link"):
        assert open_cache(folder) is None


PROGRAM = """
import sys
from pathlib import Path
from trainer.machine.compile_cache import CompileCache
cache = CompileCache(Path(sys.argv[1]))
from trainer.engine.backend import open_backend
opened = open_backend("jax", cache.folder)
assert float(opened.fetch(opened.make_program(lambda x: x * 2 + 1, "line")(3.0))) == 7
cache.record_digests()
print(cache.status)
"""


@pytest.mark.keras
def test_jax_finds_its_programs_again_and_makes_a_damaged_one_anew(tmp_path: Path):
    def said() -> str:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == "empty"
    kept = names(tmp_path)
    assert len(kept) > 1
    assert said() == "used"
    assert names(tmp_path) == kept
    for name in kept - {DIGESTS}:
        (tmp_path / name).write_bytes(b"damaged")
    assert said() == "empty"
    assert names(tmp_path) == kept
