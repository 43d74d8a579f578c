"""`python -m app backup FILE`: copies the database to one file while Pitwall runs.

Uploaded artifacts are not copied: they are in `runs/` under their hashes, and the copy contains their index.
"""

from __future__ import annotations

import os
import secrets
import shlex
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysqlite3

from app.cli.artifact_index import File, format_bytes_ascii
from app.errors import Refusal
from app.records.database import VERSION_TABLE
from app.records.files import flush_folder
from app.records.startup_checks import local_file
from app.settings import Settings
from app.timing import DEFAULT_TIMING

STEP_PAGES = 256  # 1 MiB of the usual pages
STEP_PAUSE_S = 0.002  # between two steps: leaves the disk and the processor to others


@dataclass(frozen=True)
class Contents:
    """A summary of a database. `schema`: its latest migration."""

    schema: str
    runs: int
    epochs: int
    files: list[File]

    def __str__(self) -> str:
        size = sum(file.bytes for file in self.files)
        return f"runs: {self.runs}, epochs: {self.epochs}, artifacts: {len(self.files)} ({format_bytes_ascii(size)})"


def back_up(settings: Settings, file: Path, *, force: bool = False) -> list[str]:
    """Copy the database to `file`, completely or not at all. Returns the lines to print."""
    database = local_file(settings.url)
    _check_place(file, database, force=force)
    began = time.monotonic()
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        copy_database(database, part)
        contents = read_contents(part, database)
        if not force and os.path.lexists(file):
            raise Refusal(f"{file} was created in the meantime: choose another name")
        part.rename(file)
        flush_folder(file.parent)
    except (pysqlite3.OperationalError, OSError) as error:
        raise Refusal(f"{database} could not be copied into {file.parent}: {error}") from None
    except pysqlite3.Error as error:
        raise Refusal(f"{database} is damaged, so no backup was made; restore an earlier one ({error})") from None
    finally:
        remove_database(part)
    took = time.monotonic() - began
    runs, copied = (f"{shlex.quote(str(folder.resolve() / 'runs'))}/" for folder in (settings.data_dir, file.parent))
    return [
        f"{file}: {format_bytes_ascii(file.stat().st_size)} in {took:.1f} s, checked; {contents}",
        "Artifacts and logs are separate files. Copy them as well, after the database:",
        f"  rsync -a {runs} {copied}",
    ]


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of `source` as one new file without a WAL, checked and flushed to the disk.

    Raises pysqlite3.Error if `source` cannot be read or is damaged, OSError.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with closing(open_read_only(source)) as here, closing(pysqlite3.connect(target, isolation_level=None)) as there:
        # One transaction over all steps, which therefore see one state of the database: without it the copy would start
        # again at each write of another process. In WAL mode it blocks no writer.
        here.execute("BEGIN")
        here.execute("SELECT count(*) FROM sqlite_master").fetchone()
        there.execute("PRAGMA locking_mode=EXCLUSIVE")  # no shared memory: the file may be on a network disk
        there.execute("PRAGMA synchronous=OFF")  # flushed once, below
        here.backup(there, pages=STEP_PAGES, progress=lambda *_: time.sleep(STEP_PAUSE_S))
        there.execute("PRAGMA journal_mode=DELETE").fetchone()  # the copied header says WAL
        there.execute("PRAGMA trusted_schema=OFF")
        found = there.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise pysqlite3.DatabaseError(found)
    flush_file(target)


def read_contents(path: Path, known_as: Path) -> Contents:
    """Summarise a database. Raises Refusal if it is not one of Pitwall's."""
    with closing(open_read_only(path)) as connection:

        def column(query: str) -> list[Any]:
            return [row[0] for row in connection.execute(query)]

        tables = set(column("SELECT name FROM sqlite_master WHERE type = 'table'"))
        schema = column(f"SELECT version_num FROM {VERSION_TABLE}") if VERSION_TABLE in tables else []  # noqa: S608
        if not schema or not {"runs", "epochs"} <= tables:
            raise Refusal(f"{known_as} is no database of Pitwall's: name a file that `python -m app backup` made")
        files = []
        if "artifacts" in tables:  # since schema 0003
            rows = connection.execute("SELECT run_id, name, sha256, bytes FROM artifacts ORDER BY 1, 2")
            files = [File(*row) for row in rows]
        (runs,), (epochs,) = column("SELECT count(*) FROM runs"), column("SELECT count(*) FROM epochs")
    return Contents(schema[0], runs, epochs, files)


def open_read_only(path: Path) -> Any:
    """Raises pysqlite3.Error if there is no such file."""
    name = f"{path.resolve().as_uri()}?mode=ro"
    return pysqlite3.connect(name, uri=True, isolation_level=None, timeout=DEFAULT_TIMING.write_patience_s)


def flush_file(path: Path) -> None:
    """Write a file's content to the disk (fsync)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sidecar_files(path: Path) -> list[Path]:
    """The sidecar files of a database: SQLite uses any that exist."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal", "-shm")]


def remove_database(path: Path) -> None:
    """Delete a database with its sidecar and lock files."""
    for one in (path, *sidecar_files(path), path.with_name(path.name + ".lock")):
        one.unlink(missing_ok=True)


def _check_place(file: Path, database: Path, *, force: bool) -> None:
    if not database.is_file():
        raise Refusal(f"there is no database at {database}: set PITWALL_DATA_DIR to the folder that holds it")
    if not file.parent.is_dir():
        raise Refusal(f"{file.parent} is not a folder: create it first")
    if file.resolve() in {database, *sidecar_files(database), database.with_name(database.name + ".lock")}:
        raise Refusal(f"{file} belongs to the database itself: choose another name")
    if stray := next((path for path in sidecar_files(file) if os.path.lexists(path)), None):
        raise Refusal(
            f"{stray} exists and belongs to another database: choose another name"
        )  # SQLite would mix the two
    if os.path.lexists(file) and not file.is_file():
        raise Refusal(f"{file} is not a regular file: choose another name")
    if os.path.lexists(file) and not force:
        raise Refusal(f"{file} is there already: choose another name, or replace it with --force")
