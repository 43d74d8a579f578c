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

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import pysqlite3
from alembic.script import ScriptDirectory
from sqlalchemy import select, text, update

from app import run_queue
from app.backup import SUFFIXES, Contents, File, copy, flush, look, megabytes, reader, remove
from app.database import MIGRATIONS, Records, _local_file, _lock
from app.files import artifact_path, flush_folder
from app.models import Run, Status
from app.problems import NotFound, Refusal
from app.settings import Settings

# How far the numbers jump. More than a time after the backup can have used, where that cannot be looked up any more.
MORE_ATTEMPTS = 100
MORE_IDS = {"runs": 1000, "events": 1_000_000}  # a run of a hundred epochs says some two hundred events
WAITS_S = 3.0  # for another program that has the old database open
MOST_NAMED = 20  # files in one answer
TAKEN_BACK = "the records were restored from a backup"


def restore(
    settings: Settings, file: Path, opened: Callable[[str], Records], now: datetime, *, verify: bool = False
) -> list[str]:
    """Put `file` in the place of the database; answers what to tell. `opened` makes Records of a URL.

    Raises Refusal, and has then changed nothing.
    """
    began = time.monotonic()
    database = _local_file(settings.url)
    if file.resolve() in {database.with_name(database.name + suffix) for suffix in SUFFIXES}:
        raise Refusal(f"{file} belongs to the database itself: name a backup of it")
    if not file.is_file():
        raise Refusal(f"there is no file {file}: name one that `python -m app backup` made")
    try:
        lock = _lock(database)
    except Refusal:
        raise Refusal(f"a Pitwall serves {database}: stop it, then restore") from None
    with lock:
        new = database.with_name(database.name + ".restoring")
        remove(new)  # of a restore that was killed
        try:
            _make(new, file, opened, *_used(database), now)
            kept = _keep(database, now)
            _belongs(new, database)
            _replace(database, new)
        except (pysqlite3.Error, OSError) as error:
            raise Refusal(f"{file} was not restored, {database} is as it was: {error}") from None
        finally:
            remove(new)
        contents = look(database, database)
    told = [f"restored from {file}: {contents}; in {time.monotonic() - began:.1f} s"]
    if kept:
        told.append(f"the database before is kept as {kept}")
    return told + _tell_files(settings.data_dir, contents, verify=verify)


def _make(
    new: Path,
    file: Path,
    opened: Callable[[str], Records],
    attempts: dict[int, int],
    ids: dict[str, int],
    now: datetime,
) -> None:
    """The new database, ready to be served. Raises Refusal where `file` cannot become one."""
    try:
        copy(file, new)
        schema = look(new, file).schema
    except pysqlite3.OperationalError:
        raise
    except pysqlite3.DatabaseError as error:
        raise Refusal(f"{file} is no whole database: restore an earlier backup ({error})") from None
    if schema not in {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}:
        raise Refusal(f"{file} was written by a newer Pitwall (schema {schema}): install that version, then restore")
    records = opened(f"sqlite:///{new}")
    try:
        _fence(records, attempts, ids, now)
    finally:
        records.close()
    _plain(new)
    flush(new)


def _fence(records: Records, attempts: dict[int, int], ids: dict[str, int], now: datetime) -> None:
    """Let no number be given to two things: those of the time after the backup may still be in somebody's hands.

    A worker of that time may hold attempt 3 of a run that is at attempt 2 here: the next claim would be number 3,
    too, and both would write it. So all runs that can be claimed again go on from a number that nobody has had, and
    the worker's 3 is refused. Held runs go back to the queue: their holders are asked for nothing, and their
    checkpoints are still used, since these belong to the trail and not to the attempt.
    Ids of runs go on where no bookmark, log folder or stream of that time points to.
    """
    with records.write() as session:
        for table, more in MORE_IDS.items():  # first: what follows makes events
            last = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table}) or 0
            session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table})
            session.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :seq)"),
                {"table": table, "seq": max(last, ids.get(table, 0)) + more},
            )
        for run_id, attempt in run_queue.held(session):
            run_queue.finish(session, run_id, attempt, "released", now, reason=TAKEN_BACK)
        raised = [
            {"id": run_id, "attempt": max(attempt, attempts.get(run_id, 0)) + MORE_ATTEMPTS}
            for run_id, attempt, status in session.execute(select(Run.id, Run.attempt, Run.status)).tuples()
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


def _keep(database: Path, now: datetime) -> Path | None:
    """A copy of the database as it is, under the name that is answered; None where there is none."""
    if database.exists():
        _fold(database)
    kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise Refusal(f"{kept} is there already: wait a second, then restore again")
    part = database.with_name(database.name + ".restoring")  # the new database has this name: see below
    for suffix in ("-wal", "-journal", ""):
        source = database.with_name(database.name + suffix)
        if source.exists():
            target = kept.with_name(kept.name + suffix)
            part = target.with_name(f".{target.name}.part")
            shutil.copy2(source, part)
            flush(part)
            part.rename(target)
    flush_folder(database.parent)
    return kept if kept.exists() else None
