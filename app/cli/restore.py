"""`python -m app restore FILE`: replaces the database by a backup, atomically, while Pitwall is stopped.

The old database is in place until the rename of step 6, the new one from then on. The steps, and the database that a
crash after each one leaves:

    1. lock the database, as the server does                old
    2. write the new one beside it: copied, checked,        old, and a file that the next restore removes
       migrated, fenced (`_fence`), flushed
    3. checkpoint the old one's WAL (`_fold_wal`)           old, with or without its WAL
    4. copy the old one to `….before-restore-…`             old
    5. remove the old one's sidecar files, flush the        old. There are sidecar files only if it is too damaged for
       folder, so that this is on disk before step 6        step 3, and then step 4 has copied them
    6. rename the new one over it, flush the folder         new, without sidecar files

So the old WAL never meets the new file: SQLite would take it for the new file's and write old pages into it.
The old one is copied, not linked: two names of one database would have two WALs.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pysqlite3
from alembic.script import ScriptDirectory
from sqlalchemy import select, update

from app.cli import artifact_index
from app.cli.backup import copy_database, flush_file, open_read_only, read_contents, remove_database, sidecar_files
from app.errors import Problem, Refusal
from app.records import startup_checks
from app.records.database import MIGRATIONS, Records
from app.records.files import flush_folder
from app.records.models import Run, Status
from app.records.sqlite import last_id, set_last_id
from app.settings import Settings
from app.timing import DEFAULT_TIMING, Timing
from app.workers import queue

# How far the numbers jump: more than can have been used since the backup, where the old database cannot be read.
MORE_ATTEMPTS = 100
MORE_IDS = {"runs": 1000, "events": 1_000_000}  # a run of a hundred epochs makes some two hundred events
RESTORED = "the records were restored from a backup"


def restore(
    settings: Settings,
    file: Path,
    open_records: Callable[[str], Records],
    now: datetime,
    *,
    verify: bool = False,
    timing: Timing = DEFAULT_TIMING,
) -> list[str]:
    """Replace the database by `file` and return the lines to print. `open_records` makes Records of a URL.

    Raises Refusal without having changed anything.
    """
    began = time.monotonic()
    if not file.is_file():
        raise Refusal(f"there is no file {file}: name one that `python -m app backup` made")
    database = startup_checks.local_file(settings.url)
    if file.resolve() in {database, *sidecar_files(database)}:
        raise Refusal(f"{file} belongs to the database itself: name a backup of it")
    try:
        lock = startup_checks.lock(database)
    except Refusal:
        raise Refusal(f"a Pitwall serves {database}: stop it, then restore") from None
    with lock:
        new = database.with_name(database.name + ".restoring")
        remove_database(new)  # left by a killed restore
        try:
            _copy_backup(file, new)
            records = open_records(f"sqlite:///{new}")  # migrates it
            try:
                _fence(records, *_highest_numbers(database), now)
            finally:
                records.close()
            _leave_wal_mode(new, timing.restore_wait_s)
            flush_file(new)
            kept = _keep_old_database(database, now, timing.restore_wait_s)
            for path in (new, Path(lock.name)):
                _copy_owner(path, database if database.exists() else database.parent)
            artifact_index.keep_unlisted(read_contents(new, database).files, settings.data_dir)
            _replace(database, new)
        except (pysqlite3.Error, OSError, Problem) as error:
            raise Refusal(f"{file} was not restored, {database} is as it was: {error}") from None
        finally:
            remove_database(new)
        contents = read_contents(database, database)
    lines = [f"restored from {file} in {time.monotonic() - began:.1f} s; {contents}"]
    if kept:
        lines.append(f"the database before is kept as {kept}")
    return lines + artifact_index.compare_with_disk(contents.files, settings.data_dir, verify=verify)


def _copy_backup(file: Path, new: Path) -> None:
    """Raises Refusal if the backup cannot become the database."""
    try:
        copy_database(file, new)
        schema = read_contents(new, file).schema
    except pysqlite3.OperationalError:
        raise
    except pysqlite3.DatabaseError as error:
        raise Refusal(f"{file} is no whole database: restore an earlier backup ({error})") from None
    if schema not in {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}:
        raise Refusal(f"{file} was written by a newer Pitwall (schema {schema}): install that version, then restore")


def _fence(records: Records, attempts: dict[int, int], ids: dict[str, int], now: datetime) -> None:
    """Make sure that no number that was assigned after the backup is assigned again.

    A worker may still hold attempt 3 of a run that is at attempt 2 in the backup: the next claim would be number 3
    again, and both workers would write to it. So every run that can be claimed continues with an unused number, and the
    old attempt is refused. Held runs return to the queue, where no claim waits for their holder; their checkpoints are
    still used, since these belong to the trail and not to the attempt.
    Ids of runs and events continue beyond any bookmark, log folder or stream position made after the backup.
    `attempts` and `ids`: the highest numbers in the old database, as far as it can be read.
    """
    with records.write() as session:
        for table, more in MORE_IDS.items():  # first: the next steps create events
            set_last_id(session, table, max(last_id(session, table) or 0, ids.get(table, 0)) + more)
        for run_id, attempt in queue.list_held(session):
            queue.finish(session, run_id, attempt, "released", now, reason=RESTORED)
        raised = [
            {"id": run_id, "attempt": max(attempt, attempts.get(run_id, 0)) + MORE_ATTEMPTS}
            for run_id, attempt, status in session.execute(select(Run.id, Run.attempt, Run.status))
            # an ended run keeps its number, and with it its last log, unless it was retried after the backup
            if status in (Status.QUEUED, Status.PAUSED)
            or (status != Status.SUCCEEDED and attempts.get(run_id, 0) > attempt)
        ]
        if raised:
            session.execute(update(Run), raised)


def _highest_numbers(database: Path) -> tuple[dict[int, int], dict[str, int]]:
    """Each run's attempt and each table's last id in the old database; empty if it cannot be read."""
    try:
        with closing(open_read_only(database)) as connection:
            attempts = dict(connection.execute("SELECT id, attempt FROM runs").fetchall())
            return attempts, dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    except pysqlite3.Error:
        return {}, {}


def _keep_old_database(database: Path, now: datetime, wait_s: float) -> Path | None:
    """Copy the old database and return the copy's path; None if there is no database."""
    kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise Refusal(f"{kept} is there already: wait a second, then restore again")
    for old in database.parent.glob(f".{database.name}.before-restore-*.part"):  # left by a killed restore
        old.unlink()
    if database.exists():
        _fold_wal(database, wait_s)
    for source in (*sidecar_files(database), database):
        if source.exists():
            target = kept.with_name(kept.name + source.name.removeprefix(database.name))
            part = target.with_name(f".{target.name}.part")
            try:
                shutil.copyfile(source, part)
                _copy_owner(part, source)
                flush_file(part)
                part.rename(target)
            finally:
                part.unlink(missing_ok=True)
    flush_folder(database.parent)
    return kept if kept.exists() else None


def _fold_wal(database: Path, wait_s: float) -> None:
    """Checkpoint the old database into one file. One that is too damaged for that stays as it is."""
    try:
        _leave_wal_mode(database, wait_s)
    except pysqlite3.OperationalError as error:
        raise Refusal(
            f"{database} is in use, perhaps by a backup: wait until it is done, "
            f"or move it and its -wal away, then restore ({error})"
        ) from None
    except pysqlite3.DatabaseError:
        return


def _leave_wal_mode(database: Path, wait_s: float) -> None:
    """Checkpoint the WAL and leave WAL mode, so that there are no sidecar files. Raises OperationalError if another
    program has the database open for longer than `wait_s`."""
    with closing(pysqlite3.connect(database, isolation_level=None, timeout=wait_s)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # rolls back a killed writer's transaction
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    if mode != "delete":
        raise pysqlite3.OperationalError(f"it stays in mode {mode}")


def _replace(database: Path, new: Path) -> None:
    """Steps 5 and 6."""
    for path in sidecar_files(database):
        path.unlink(missing_ok=True)
    flush_folder(database.parent)
    new.rename(database)
    flush_folder(database.parent)


def _copy_owner(path: Path, like: Path) -> None:
    """Copy mode and owner: after a restore by root, the user that Pitwall runs as can still open the file."""
    stat = like.stat()
    if like.is_file():
        path.chmod(stat.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, stat.st_uid, stat.st_gid)
