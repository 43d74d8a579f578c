"""A backup is one whole file, made while everything writes, and holds all that was acknowledged before it began."""

from __future__ import annotations

import re
import resource
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select

from app.cli.backup import back_up
from app.errors import Refusal
from app.records.database import MIGRATIONS
from app.records.models import Artifact, Run
from app.settings import Settings
from app.web.deps import State
from tests.app.support.cast import NOW, claim, epoch, launch, started
from tests.app.support.queue_verbs import say

WRITERS = 3


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """What a database answers to whoever opens it as it lies there; it must be whole."""
    with closing(pysqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [tuple(row) for row in connection.execute(query)]


def made_by_schema(url: str, schema: str) -> None:
    """A database as an earlier version left it, without a row."""
    engine = create_engine(url, module=pysqlite3)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
    engine.dispose()


@contextmanager
def writing(state: State) -> Iterator[list[tuple[int, int]]]:
    """Threads that report epochs of a run each, as fast as they are answered; gives what has been acknowledged."""
    acknowledged: list[tuple[int, int]] = []
    errors: list[BaseException] = []
    ends = threading.Event()

    def write(held: tuple[int, int]) -> None:
        try:
            number = 1
            while not ends.is_set():
                say(state, held, epoch(number), first=number)
                acknowledged.append((held[0], number))
                number += 1
        except BaseException as error:
            errors.append(error)

    threads = []
    for _ in range(WRITERS):
        launch(state, {"epochs": 1000})
        held = claim(state)
        assert held
        say(state, held, started())
        threads.append(threading.Thread(target=write, args=(held,)))
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_ten_backups_under_load_are_whole_and_hold_every_row_acknowledged_before_each_began(
    state: State, tmp_path: Path
):
    missing: list[set[tuple[int, int]]] = []
    later = []
    launch(state, notes="so that a backup takes several steps " * 200_000)
    with writing(state) as acknowledged:
        for index in range(10):
            known = set(acknowledged)
            copy = tmp_path / f"copy-{index}.db"
            back_up(state.settings, copy)
            later.append(len(acknowledged) - len(known))
            copied = {(run_id, number) for run_id, number in rows(copy, "SELECT run_id, epoch FROM epochs")}
            missing.append(known - copied)

    assert missing == [set()] * 10
    assert sum(later) > 10, "nothing was written meanwhile, so nothing was shown"
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == sorted(f"copy-{number}.db" for number in range(10))


def test_a_backup_is_a_plain_file_for_its_owner_alone(state: State, tmp_path: Path):
    launch(state)
    copy = tmp_path / "copy.db"
    told = back_up(state.settings, copy)

    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    assert not list(tmp_path.glob("*copy.db?*"))
    assert re.fullmatch(rf"{copy}: \d+ kB in \d+\.\d s, checked; runs: 1, epochs: 0, artifacts: 0 \(0 bytes\)", told[0])


def test_what_a_killed_server_left_in_its_wal_is_in_the_backup(state: State, settings: Settings, tmp_path: Path):
    run_id = launch(state, name="in the WAL alone")
    dead = settings.model_copy(update={"data_dir": tmp_path / "dead"})
    dead.data_dir.mkdir()
    for name in ("pitwall.db", "pitwall.db-wal"):  # as they lie there while the server has them open
        shutil.copy(settings.data_dir / name, dead.data_dir / name)
    with closing(pysqlite3.connect(f"{(dead.data_dir / 'pitwall.db').as_uri()}?immutable=1", uri=True)) as alone:
        assert not alone.execute("SELECT id FROM runs").fetchall()

    back_up(dead, tmp_path / "copy.db")

    assert rows(tmp_path / "copy.db", "SELECT id, name FROM runs") == [(run_id, "in the WAL alone")]


def test_the_index_of_artifacts_is_in_the_backup_and_told_with_where_the_files_are(state: State, tmp_path: Path):
    run_id = launch(state)
    with state.records.write() as session:
        for name, size in (("best.safetensors", 1_500_000), ("checkpoint.safetensors", 2_000_000)):
            session.add(
                Artifact(run_id=run_id, name=name, attempt=1, sha256="a" * 64, bytes=size, epoch=1, step=0, at=NOW)
            )
    folder = tmp_path / "two words"
    folder.mkdir()

    told = back_up(state.settings, folder / "copy.db")

    assert "artifacts: 2 (3.5 MB)" in told[0]
    assert told[2] == f"  rsync -a {tmp_path}/runs/ '{folder}/runs'/"
    assert rows(folder / "copy.db", "SELECT count(*) FROM artifacts") == [(2,)]


def test_a_database_from_before_there_were_artifacts_is_copied_too(settings: Settings, tmp_path: Path):
    made_by_schema(settings.url, "0002")

    told = back_up(settings, tmp_path / "copy.db")

    assert "artifacts: 0" in told[0]
    assert rows(tmp_path / "copy.db", "SELECT version_num FROM pitwall_version") == [("0002",)]


def _there_already(folder: Path) -> Path:
    (folder / "there.db").write_text("mine")
    return folder / "there.db"


def _beside_a_stray_wal(folder: Path) -> Path:
    (folder / "new.db-wal").write_text("of another database")
    return folder / "new.db"


def _over_a_link(folder: Path) -> Path:
    (folder / "link.db").symlink_to(folder / "nowhere")
    return folder / "link.db"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (lambda folder: folder / "missing" / "copy.db", "missing is not a folder: create it first"),
        (lambda folder: folder, "is not a folder|is not a regular file"),
        (lambda folder: folder / "pitwall.db", "belongs to the database itself"),
        (lambda folder: folder / "runs" / ".." / "pitwall.db-wal", "belongs to the database itself"),
        (_there_already, "is there already: choose another name, or replace it with --force"),
        (_over_a_link, "is not a regular file"),
        (_beside_a_stray_wal, "exists and belongs to another database"),
    ],
)
def test_a_place_that_is_not_free_is_refused_and_nothing_changes(
    place: Callable[[Path], Path], why: str, state: State, tmp_path: Path
):
    (tmp_path / "runs").mkdir()
    file = place(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    with pytest.raises(Refusal, match=why):
        back_up(state.settings, file)

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("place", [lambda folder: folder / "pitwall.db", lambda folder: folder / "runs"])
def test_the_database_itself_and_a_folder_are_not_replaced_by_force_either(
    place: Callable[[Path], Path], state: State, tmp_path: Path
):
    run_id = launch(state)
    (tmp_path / "runs").mkdir()

    with pytest.raises(Refusal):
        back_up(state.settings, place(tmp_path), force=True)

    with state.records.read() as session:
        assert session.scalars(select(Run.id)).all() == [run_id]


def test_by_force_a_backup_takes_the_place_of_an_earlier_one(state: State, tmp_path: Path):
    back_up(state.settings, tmp_path / "copy.db")
    run_id = launch(state)

    back_up(state.settings, tmp_path / "copy.db", force=True)

    assert rows(tmp_path / "copy.db", "SELECT id FROM runs") == [(run_id,)]


def test_where_there_is_no_database_there_is_nothing_to_back_up(settings: Settings, tmp_path: Path):
    with pytest.raises(Refusal, match=r"no database at .*pitwall.db: set PITWALL_DATA_DIR"):
        back_up(settings, tmp_path / "copy.db")

    assert not (tmp_path / "pitwall.db").exists()


def test_a_damaged_database_and_one_that_is_not_ours_are_not_taken_for_a_backup(state: State, tmp_path: Path):
    for _ in range(30):
        launch(state)
    state.records.close()
    database = tmp_path / "pitwall.db"
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2] + b"\xff" * 8192 + whole[len(whole) // 2 + 8192 :])
    with pytest.raises(Refusal, match=r"pitwall.db is damaged, so no backup was made"):
        back_up(state.settings, tmp_path / "copy.db")

    database.unlink()
    with closing(pysqlite3.connect(database)) as other:
        other.execute("CREATE TABLE runs (id)")
    with pytest.raises(Refusal, match=r"pitwall.db is no database of Pitwall's"):
        back_up(state.settings, tmp_path / "copy.db")

    assert not list(tmp_path.glob("*copy*"))


def test_a_disk_that_is_too_small_leaves_nothing_behind_and_says_so(state: State, tmp_path: Path):
    launch(state)
    (tmp_path / "small").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, limits[1]))
    try:
        with pytest.raises(Refusal, match=r"pitwall.db could not be copied into .*small: "):
            back_up(state.settings, tmp_path / "small" / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list((tmp_path / "small").iterdir()) == []
