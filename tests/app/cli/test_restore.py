"""A restore puts the old records in place and gives no number to a second thing: what lived after it is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from sqlalchemy import text

from app.cli.backup import back_up
from app.cli.restore import restore
from app.errors import Refusal
from app.records.database import Records
from app.records.files import artifact_path
from app.records.models import Artifact
from app.settings import Settings
from app.timing import Timing
from app.web.deps import State
from tests.app.cli.test_backup import made_by_schema, rows
from tests.app.support.cast import NOW, claim, launch, settings_in, state_of
from tests.app.support.queue_verbs import held_run
from trainer.protocol import CHECKPOINT

KEPT = "pitwall.db.before-restore-20260301T120000Z"


def taken_back(settings: Settings, file: Path, *, hours: int = 0, **more: Any) -> list[str]:
    return restore(settings, file, Records, NOW + timedelta(hours=hours), **more)


def names(database: Path) -> list[str]:
    return [str(name) for (name,) in rows(database, "SELECT name FROM runs ORDER BY id")]


def hand_in(state: State, run_id: int, content: bytes, name: str = CHECKPOINT) -> Path:
    """A file of a run, as its worker would have handed it in."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = artifact_path(state.settings.data_dir, run_id, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with state.records.write() as session:
        size = len(content)
        session.merge(Artifact(run_id=run_id, name=name, attempt=1, sha256=sha256, bytes=size, epoch=1, step=0, at=NOW))
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere" / "copy.db"


def test_the_records_are_as_they_were_and_those_before_are_kept(state: State, copy: Path, tmp_path: Path):
    launch(state, name="before")
    back_up(state.settings, copy)
    launch(state, name="after")
    state.records.close()

    told = taken_back(state.settings, copy)

    assert told[0].startswith(f"restored from {copy} in ")
    assert told[0].endswith(" s; runs: 1, epochs: 0, artifacts: 0 (0 bytes)")
    assert told[1:] == [f"the database before is kept as {tmp_path / KEPT}"]
    assert names(tmp_path / "pitwall.db") == ["before"]
    assert names(tmp_path / KEPT) == ["before", "after"]
    assert sorted(path.name for path in tmp_path.glob("*pitwall.db*")) == ["pitwall.db", KEPT, "pitwall.db.lock"]


@pytest.mark.parametrize("broken", ["its head", "its middle"])
def test_a_database_that_cannot_be_read_is_replaced_and_kept_as_it_is(
    broken: str, state: State, copy: Path, tmp_path: Path
):
    held = held_run(state)
    back_up(state.settings, copy)
    with closing(pysqlite3.connect(state.records.path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    launch(state, name="in the WAL alone")
    dead = settings_in(tmp_path / "dead")
    dead.data_dir.mkdir()
    for path in tmp_path.glob("pitwall.db*"):
        shutil.copy(path, dead.data_dir)
    database = dead.data_dir / "pitwall.db"
    with database.open("r+b") as file:
        file.seek(0 if broken == "its head" else 1024)
        file.write(b"\xff" * 3000)
    told = taken_back(dead, copy)

    assert f"the database before is kept as {dead.data_dir / KEPT}" in told
    assert names(database) == names(copy)
    kept = b"".join(path.read_bytes() for path in dead.data_dir.glob(f"{KEPT}*"))
    assert b"in the WAL alone" in kept and b"\xff" * 3000 in kept
    again = state_of(dead)
    assert claim(again) == (held[0], 102)
    again.records.close()


def test_a_wal_without_its_database_is_never_taken_for_the_new_one_s(state: State, copy: Path, tmp_path: Path):
    launch(state, name="before")
    back_up(state.settings, copy)
    launch(state, name="after")
    bare = settings_in(tmp_path / "bare")
    bare.data_dir.mkdir()
    shutil.copy(tmp_path / "pitwall.db-wal", bare.data_dir)

    taken_back(bare, copy)

    assert names(bare.data_dir / "pitwall.db") == ["before"]
    assert (bare.data_dir / f"{KEPT}-wal").exists()


def test_an_older_backup_is_brought_up_to_this_version(settings: Settings, tmp_path: Path, copy: Path):
    made_by_schema(settings.url, "0002")
    back_up(settings, copy)
    new = settings_in(tmp_path / "new")

    taken_back(new, copy)

    assert rows(new.data_dir / "pitwall.db", "SELECT count(*) FROM artifacts") == [(0,)]
    assert not (new.data_dir / KEPT).exists()
    state = state_of(new)
    assert launch(state) == 1001
    state.records.close()


def test_files_that_the_index_names_and_the_disk_lacks_are_told(state: State, copy: Path, tmp_path: Path):
    run_id = launch(state)
    good, short, gone, bent = (
        hand_in(state, run_id, bytes(10) + name, name.decode()) for name in (b"a", b"b", b"c", b"d")
    )
    back_up(state.settings, copy)
    state.records.close()
    short.write_bytes(b"12")
    gone.unlink()
    bent.write_bytes(b"another eleven"[:11])
    (good.parent / "unnamed").write_bytes(bytes(2_000_000))

    quick = "\n".join(taken_back(state.settings, copy))
    whole = "\n".join(taken_back(state.settings, copy, hours=1, verify=True))

    assert "artifacts that are not as they were, 2 of 4;" in quick and "3 of 4" in whole
    for told in (quick, whole):
        assert f"  runs/1/artifacts/{short.name} (b of run 1) has 2 bytes instead of 11\n" in told
        assert f"  runs/1/artifacts/{gone.name} (c of run 1) is missing" in told
        assert f"in {tmp_path / 'runs'} that the backup does not name: 1 (2.0 MB); they stay for two weeks" in told
    assert "d of run 1" not in quick and f"  runs/1/artifacts/{bent.name} (d of run 1) is damaged" in whole


def _garbage(file: Path, settings: Settings) -> None:
    file.write_bytes(b"This is a letter, and a long one. " * 500)


def _other_database(file: Path, settings: Settings) -> None:
    with closing(pysqlite3.connect(file)) as other:
        other.execute("CREATE TABLE runs (id)")


def _newer(file: Path, settings: Settings) -> None:
    back_up(settings, file)
    with closing(pysqlite3.connect(file, isolation_level=None)) as other:
        other.execute("UPDATE pitwall_version SET version_num = '9999'")


def _cut(file: Path, settings: Settings) -> None:
    back_up(settings, file)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda file, settings: None, "there is no file .*copy.db: name one that"),
        (lambda file, settings: file.touch(), "copy.db is no database of Pitwall's: name a file that"),
        (_garbage, r"copy.db is no whole database: restore an earlier backup \(file is not a database\)"),
        (_other_database, "copy.db is no database of Pitwall's"),
        (_newer, r"copy.db was written by a newer Pitwall \(schema 9999\): install that version, then restore"),
        (_cut, "copy.db is no whole database: restore an earlier backup"),
    ],
)
def test_what_is_no_backup_is_refused_and_nothing_changes(
    make: Callable[[Path, Settings], None], why: str, state: State, copy: Path, tmp_path: Path
):
    launch(state, name="mine")
    make(copy, state.settings)
    state.records.close()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")}

    with pytest.raises(Refusal, match=why):
        taken_back(state.settings, copy)

    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")} == before


def test_while_a_server_or_another_program_has_the_database_nothing_is_restored(state: State, copy: Path):
    launch(state, name="mine")
    back_up(state.settings, copy)
    with pytest.raises(Refusal, match=r"a Pitwall serves .*pitwall.db: stop it, then restore"):
        taken_back(state.settings, copy)
    with state.records.read() as session:
        assert session.scalar(text("SELECT name FROM runs")) == "mine"

    with closing(pysqlite3.connect(state.records.path)) as other:
        assert other.execute("SELECT name FROM runs").fetchone() == ("mine",)  # and stays connected, as a shell would
        state.records.close()
        with pytest.raises(Refusal, match=r"pitwall.db is in use, perhaps by a backup"):
            taken_back(state.settings, copy, timing=Timing(restore_wait_s=0.1))

    taken_back(state.settings, copy)
    assert names(state.records.path) == ["mine"]


def test_the_database_is_no_backup_of_itself(state: State):
    state.records.close()

    with pytest.raises(Refusal, match="belongs to the database itself"):
        taken_back(state.settings, state.records.path)
