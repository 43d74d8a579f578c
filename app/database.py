"""The one door to the SQLite file: engine, pragmas, sessions, the guards at start-up. One request = one transaction.

Must not know what is stored (models.py only through Base's metadata in migrations) or who asks.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

import pysqlite3
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

from app.problems import Refusal

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent.parent / "migrations"
VERSION_TABLE = "pitwall_version"  # not Alembic's default name: other tools share it and fail on ours
BUSY_MS = 10_000
LOCAL_JOURNAL = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered write survives a power cut; NORMAL may roll it back
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",  # 64 MiB
    "PRAGMA trusted_schema=OFF",
)
# File systems, as the kernel names them, whose locks do not hold between hosts or containers.
NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "fuse.sshfs",
    "virtiofs",
    "ceph",
    "glusterfs",
}

Told = dict[str, Any]  # one event for the streams: id, run, event, data


def safe_sqlite(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset race: 3.51.3 and later, 3.50.7+ and 3.44.6+ of their branches.

    Source: sqlite.org/wal.html#walresetbug. Every 3.7.0 to 3.51.2 can corrupt a WAL database when two
    connections race on a reset.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


class Records:
    """The records on disk. Made once by `__main__` (or by a test) and passed to whoever reads or writes."""

    def __init__(self, url: str, tell: Callable[[list[Told]], None] = lambda told: None) -> None:
        """Open (and if needed create) the file, refuse what is unsafe, bring the tables up to date.

        `tell` gets what each committed write recorded in `session.info["told"]`, in the order of commits.
        """
        self.path = _local_file(url)
        self.tell = tell
        self._writing = Lock()  # SQLite has one writer; waiting here is fair, waiting in its busy loop is not
        self._lock_file = _lock(self.path)
        self._engine = create_engine(url, module=pysqlite3, pool_size=20, max_overflow=40)
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(pitwall_writes=True)
        try:
            migrate(self._writer)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one moment of the records and changes nothing."""
        with Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write: committed on leaving, rolled back on an exception, told once it is on disk."""
        with self._writing:
            with Session(self._writer, expire_on_commit=False) as session:
                with session.begin():
                    yield session
                told = session.info.get("told", [])
            if told:
                self.tell(told)

    def close(self) -> None:
        self._engine.dispose()
        self._lock_file.close()


def migrate(engine: Engine) -> None:
    """Bring the tables to this version, in one transaction. A newer schema than ours is refused."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        current = context.get_current_revision()
        if current is not None and current not in known:
            raise Refusal(
                f"the database was written by a newer Pitwall (schema {current}): "
                "install that version or restore a backup"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _local_file(url: str) -> Path:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise Refusal("PITWALL_DATABASE_URL must name an SQLite file, such as sqlite:////srv/pitwall/pitwall.db")
    if not safe_sqlite(pysqlite3.sqlite_version_info):
        raise Refusal(
            f"SQLite {pysqlite3.sqlite_version} can corrupt a WAL database (fixed in 3.51.3): "
            "reinstall requirements-web.txt, whose pysqlite3 brings its own"
        )
    path = Path(parsed.database).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = file_system(path.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise Refusal(
            f"{path.parent} is on {kind}, where SQLite's locks do not hold: set PITWALL_DATA_DIR to a local disk"
        )
    return path


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kernel's name for the file system that holds `folder` (`ext4`, `nfs4` …); empty where it is not known."""
    best = ("", "")
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        point, kind = line.split()[1:3]
        if folder.is_relative_to(point.replace("\\040", " ")) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def _lock(path: Path) -> IO[str]:
    """Hold a lock beside the database for as long as this process lives: one server, one file."""
    file = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Refusal(
            f"another Pitwall serves {path}: stop it, or give this one its own PITWALL_DATA_DIR and PITWALL_PORT"
        ) from None
    return file


def _prepare(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions begin too late; see _begin
    for pragma in LOCAL_JOURNAL:
        connection.execute(pragma).close()


def _begin(connection: Any) -> None:
    """BEGIN IMMEDIATE for writers: a reader that turns writer fails at once with SQLITE_BUSY, whatever the timeout."""
    writes = connection.get_execution_options().get("pitwall_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
