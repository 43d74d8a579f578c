"""The one door to the SQLite file: engine, pragmas, sessions. One request = one transaction.

Must not know what is stored (models.py only through Base's metadata in migrations) or who asks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pysqlite3
from sqlalchemy import Connection, Engine, column, create_engine, event, inspect, select, table
from sqlalchemy.orm import Session

from app.errors import Refusal, Trouble
from app.records import disk, startup_checks
from app.records.sqlite import PRAGMAS
from app.records.writer import FairLock, GroupCommit
from app.timing import DEFAULT_TIMING, Timing

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parents[2] / "migrations"
VERSION_TABLE = "pitwall_version"  # not Alembic's default name: other tools share it and fail on ours
T = TypeVar("T")
Told = dict[str, Any]  # one event for the streams: id, run, event, data


class Records:
    """The records on disk. Made once by `__main__` (or by a test) and passed to whoever reads or writes."""

    def __init__(
        self, url: str, tell: Callable[[list[Told]], None] = lambda told: None, timing: Timing = DEFAULT_TIMING
    ) -> None:
        """Open (and if needed create) the file, refuse what is unsafe, bring the tables up to date.

        `tell` gets what each committed write recorded in `session.info["told"]`, in the order of commits.
        """
        self.path = startup_checks.local_file(url)
        self.tell = tell
        self.trouble: str | None = None  # a sentence: what the latest write ran into; None once one has gone well
        self._turns = FairLock()  # SQLite has one writer; waiting here is fair, waiting in its busy loop is not
        self._patience_s = timing.write_patience_s
        self._ends = time.monotonic() + self._patience_s  # until when whoever's turn it is waits for other programs
        self._lock_file = startup_checks.lock(self.path)
        self._engine = create_engine(url, module=pysqlite3, pool_size=20, max_overflow=40)
        event.listen(self._engine, "connect", self._prepare)
        event.listen(self._engine, "begin", self._begin)
        self._writer = self._engine.execution_options(pitwall_writes=True)
        try:
            with disk.disk_errors(self.path.parent):
                migrate(self._writer)
        except BaseException as error:
            self._close_file()
            if isinstance(error, Trouble):
                what = error.detail.partition(". ")[0]
                raise Refusal(f"{self.path} cannot be opened: {what}; start again once that is mended") from error
            raise
        self._together = GroupCommit(self._alone, self._try_again)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one moment of the records and changes nothing. No writer keeps it waiting."""
        with disk.disk_errors(self.path.parent), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write: committed on leaving, rolled back on an exception, told once it is on disk.

        Raises Busy after `timing.write_patience_s`, StorageFull or DiskFails where the disk does not take it.
        """
        told: list[Told] = []
        try:
            with (
                self._alone(time.monotonic() + self._patience_s, told) as connection,
                Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session,
            ):
                with session.begin():
                    yield session
                told += session.info.get("told", [])
        except Trouble as trouble:
            self.trouble = trouble.detail
            raise

    def together(self, work: Callable[[Session], T]) -> T:
        """A small write that shares its transaction, and so its wait for the disk, with others of the same moment.

        Answers what `work` answers, once it is on the disk and told. What `work` raises undoes its own writes alone.
        """
        return self.submit(work).result()

    def submit(self, work: Callable[[Session], T]) -> Future[T]:
        """The same without waiting: `await asyncio.wrap_future(records.submit(work))` takes no thread.

        `work` is done in another thread. Raises Busy at once in a flood.
        """

        def named(session: Session) -> T:
            with disk.disk_errors(self.path.parent):
                return work(session)

        future: Future[T] = self._together.submit(named, self._patience_s)
        future.add_done_callback(self._notice)
        return future

    def close(self) -> None:
        """What waits is written first."""
        self._together.close()
        self._close_file()

    @contextmanager
    def _alone(self, ends: float, told: list[Told]) -> Iterator[Connection]:
        """A transaction of whoever's turn it is. What is in `told` by its end is passed on once it is on the disk."""
        with self._turns.turn(ends), disk.disk_errors(self.path.parent):
            self._ends = ends
            with self._writer.begin() as connection:
                yield connection
            if told:
                self.tell(told)
            self.trouble = None

    def _notice(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, Trouble):
            self.trouble = error.detail

    def _try_again(self) -> None:
        """Where nobody writes, trouble must not be shown for longer than it lasts."""
        if self.trouble is None:
            return
        try:
            with self._alone(time.monotonic(), []) as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar()
                connection.exec_driver_sql(f"PRAGMA user_version={version}")  # writes a page, changes nothing
        except Trouble:
            return
        except Exception:
            logger.exception("could not try whether writing works again")

    def _prepare(self, connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver's own transactions begin too late; see _begin
        for pragma in (f"PRAGMA busy_timeout={int(self._patience_s * 1000)}", *PRAGMAS):
            connection.execute(pragma).close()

    def _begin(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE for writers: a reader that turns writer gets SQLITE_BUSY at once, whatever the timeout."""
        writes = connection.get_execution_options().get("pitwall_writes", False)
        driver: Any = connection.connection.driver_connection
        patience = max(self._ends - time.monotonic(), 0.001) if writes else self._patience_s
        driver.execute(f"PRAGMA busy_timeout={int(patience * 1000)}").close()
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()

    def _close_file(self) -> None:
        self._engine.dispose()
        self._lock_file.close()


def migrate(engine: Engine) -> None:
    """Bring the tables to this version, in one transaction. A newer schema than ours is refused.

    Tables that are up to date are not written to: a server starts while its database is locked or its disk is full.
    """
    ours = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))
    with engine.execution_options(pitwall_writes=False).begin() as connection:
        theirs = _version(connection)
    if theirs is not None and theirs not in ours:
        raise Refusal(
            f"the database was written by a newer Pitwall (schema {theirs}): install that version or restore a backup"
        )
    if theirs == ours[-1]:
        return
    from alembic import command  # a sixth of the time that a start takes, and rarely needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    """The schema that the tables are of; None where there are none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return found
