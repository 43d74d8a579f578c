"""`python -m app restore FILE`: the database put back from a backup, at one moment, with nobody serving it.

Until the last rename the old database is the database; from then on the new one is. The order, and what a crash
between two steps leaves:

    1. lock the database, as a server does                  the old one
    2. make the new one beside it, whole: copied, checked,  the old one, and a file that the next restore removes
       migrated, fenced (`_fence`), flushed
    3. fold the old one's WAL into it (`_fold`)             the old one, with or without a WAL of its own
    4. copy the old one to `….before-restore-…`             the old one
    5. remove what lies beside the old one; flush the       the old one. Something lies there only if it is too
       folder, so that this is done before 6 is             damaged to be folded, and then step 4 has kept it
    6. rename the new one over it; flush the folder         the new one, with nothing beside it

So an old WAL never meets the new file: SQLite would take it for the new one's and write old pages over it.
The old one is copied, not linked: two names of one database would have two WALs.
Must not know HTTP.
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
from app.cli.backup import beside, copy, flush, look, reader, remove
from app.errors import Problem, Refusal
from app.records import startup_checks
from app.records.database import MIGRATIONS, Records
from app.records.files import flush_folder
from app.records.models import Run, Status
from app.records.sqlite import last_id, set_last_id
from app.settings import Settings
from app.timing import DEFAULT_TIMING, Timing
from app.workers import queue

# How far the numbers jump. More than a time after the backup can have used, where that cannot be looked up any more.
MORE_ATTEMPTS = 100
MORE_IDS = {"runs": 1000, "events": 1_000_000}  # a run of a hundred epochs says some two hundred events
TAKEN_BACK = "the records were restored from a backup"


def restore(
    settings: Settings,
    file: Path,
    opened: Callable[[str], Records],
    now: datetime,
    *,
    verify: bool = False,
    timing: Timing = DEFAULT_TIMING,
) -> list[str]:
    """Put `file` in the place of the database; answers what to tell. `opened` makes Records of a URL.

    Raises Refusal, and has then changed nothing.
    """
    began = time.monotonic()
    if not file.is_file():
        raise Refusal(f"there is no file {file}: name one that `python -m app backup` made")
    database = startup_checks.local_file(settings.url)
    if file.resolve() in {database, *beside(database)}:
        raise Refusal(f"{file} belongs to the database itself: name a backup of it")
    try:
        lock = startup_checks.lock(database)
    except Refusal:
        raise Refusal(f"a Pitwall serves {database}: stop it, then restore") from None
    with lock:
        new = database.with_name(database.name + ".restoring")
        remove(new)  # of a restore that was killed
        try:
            _take(file, new)
            records = opened(f"sqlite:///{new}")  # which migrates it
            try:
                _fence(records, *_used(database), now)
            finally:
                records.close()
            _make_plain(new, timing.restore_wait_s)
            flush(new)
            kept = _keep(database, now, timing.restore_wait_s)
            for path in (new, Path(lock.name)):
                _give(path, database if database.exists() else database.parent)
            artifact_index.keep_unnamed(look(new, database).files, settings.data_dir)
            _replace(database, new)
        except (pysqlite3.Error, OSError, Problem) as error:
            raise Refusal(f"{file} was not restored, {database} is as it was: {error}") from None
        finally:
            remove(new)
        contents = look(database, database)
    told = [f"restored from {file} in {time.monotonic() - began:.1f} s; {contents}"]
    if kept:
        told.append(f"the database before is kept as {kept}")
    return told + artifact_index.compare(contents.files, settings.data_dir, verify=verify)


def _take(file: Path, new: Path) -> None:
    """A copy of the backup. Raises Refusal where it cannot become the database."""
    try:
        copy(file, new)
        schema = look(new, file).schema
    except pysqlite3.OperationalError:
        raise
    except pysqlite3.DatabaseError as error:
        raise Refusal(f"{file} is no whole database: restore an earlier backup ({error})") from None
    if schema not in {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}:
        raise Refusal(f"{file} was written by a newer Pitwall (schema {schema}): install that version, then restore")


def _fence(records: Records, attempts: dict[int, int], ids: dict[str, int], now: datetime) -> None:
    """Let no number be given to two things: those of the time after the backup may still be in somebody's hands.

    A worker of that time may hold attempt 3 of a run that is at attempt 2 here: the next claim would be number 3,
    too, and both would write it. So every run that can be claimed goes on from a number that nobody has had, and
    the worker's 3 is refused. Held runs go back to the queue, where no claim waits for a holder that may be gone;
    their checkpoints are still used, since these belong to the trail and not to the attempt.
    Ids of runs and events go on where no bookmark, log folder or stream of that time points to.
    `attempts` and `ids`: the highest that the database before has given out, as far as it can be read.
    """
    with records.write() as session:
        for table, more in MORE_IDS.items():  # first: what follows makes events
            set_last_id(session, table, max(last_id(session, table) or 0, ids.get(table, 0)) + more)
        for run_id, attempt in queue.held(session):
            queue.finish(session, run_id, attempt, "released", now, reason=TAKEN_BACK)
        raised = [
            {"id": run_id, "attempt": max(attempt, attempts.get(run_id, 0)) + MORE_ATTEMPTS}
            for run_id, attempt, status in session.execute(select(Run.id, Run.attempt, Run.status))
            # an ended one stays as it is, and its last log with it, unless it was tried again after the backup
            if status in (Status.QUEUED, Status.PAUSED)
            or (status != Status.SUCCEEDED and attempts.get(run_id, 0) > attempt)
        ]
        if raised:
            session.execute(update(Run), raised)


def _used(database: Path) -> tuple[dict[int, int], dict[str, int]]:
    """Each run's attempts and each table's last id in the database before; nothing where it cannot be read."""
    try:
        with closing(reader(database)) as connection:
            attempts = dict(connection.execute("SELECT id, attempt FROM runs").fetchall())
            return attempts, dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    except pysqlite3.Error:
        return {}, {}


def _keep(database: Path, now: datetime, wait_s: float) -> Path | None:
    """A copy of the database as it is, under the name that is answered; None where there is none."""
    kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise Refusal(f"{kept} is there already: wait a second, then restore again")
    for old in database.parent.glob(f".{database.name}.before-restore-*.part"):  # of a restore that was killed
        old.unlink()
    if database.exists():
        _fold(database, wait_s)
    for source in (*beside(database), database):
        if source.exists():
            target = kept.with_name(kept.name + source.name.removeprefix(database.name))
            part = target.with_name(f".{target.name}.part")
            try:
                shutil.copyfile(source, part)
                _give(part, source)
                flush(part)
                part.rename(target)
            finally:
                part.unlink(missing_ok=True)
    flush_folder(database.parent)
    return kept if kept.exists() else None


def _fold(database: Path, wait_s: float) -> None:
    """Make the old database one file. One that is too damaged for that stays as it is."""
    try:
        _make_plain(database, wait_s)
    except pysqlite3.OperationalError as error:
        raise Refusal(
            f"{database} is in use, perhaps by a backup: wait until it is done, "
            f"or move it and its -wal away, then restore ({error})"
        ) from None
    except pysqlite3.DatabaseError:
        return


def _make_plain(database: Path, wait_s: float) -> None:
    """Take the WAL in and leave WAL mode: nothing lies beside the file then. Fails where others have it open for
    longer than `wait_s`."""
    with closing(pysqlite3.connect(database, isolation_level=None, timeout=wait_s)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # rolls back what a killed writer began
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    if mode != "delete":
        raise pysqlite3.OperationalError(f"it stays in mode {mode}")


def _replace(database: Path, new: Path) -> None:
    """The moment: steps 5 and 6."""
    for path in beside(database):
        path.unlink(missing_ok=True)
    flush_folder(database.parent)
    new.rename(database)
    flush_folder(database.parent)


def _give(path: Path, like: Path) -> None:
    """Mode and owner of another file: a restore by root must not shut out the user that Pitwall runs as."""
    stat = like.stat()
    if like.is_file():
        path.chmod(stat.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, stat.st_uid, stat.st_gid)
