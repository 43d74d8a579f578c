"""The database: engine, transactions, migrations. One request is one transaction."""

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
from app.records import disk, outbox, sqlite, startup_checks
from app.records.fair_lock import FairLock
from app.records.outbox import OutboxEvent
from app.records.writer import GroupCommit
from app.timing import DEFAULT_TIMING, Timing

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parents[2] / "migrations"
VERSION_TABLE = "pitwall_version"  # not Alembic's default name: other tools share it and fail on ours
T = TypeVar("T")


class Records:
    """The records on disk. Created once by `__main__` (or by a test) and passed to readers and writers."""

    def __init__(
        self,
        url: str,
        publish: Callable[[list[OutboxEvent]], None] = lambda events: None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """Open (and if needed create) the file, refuse what is unsafe, bring the tables up to date.

        `publish` gets the outbox of each committed write, in the order of commits.
        """
        self.path = startup_checks.local_file(url)
        self.publish = publish
        self.trouble: str | None = None  # a sentence: why the latest write failed; None once one has succeeded
        self._write_lock = FairLock()  # SQLite has one writer; waiting here is fair, waiting in its busy loop is not
        self._patience_s = timing.write_patience_s
        self._ends = time.monotonic() + self._patience_s  # until when the holder of the lock waits for other programs
        self._lock_file = startup_checks.lock(self.path)
        self._engine = create_engine(
            url, module=pysqlite3, pool_size=20, max_overflow=40, connect_args={"timeout": self._patience_s}
        )
        event.listen(self._engine, "connect", sqlite.prepare_connection)
        event.listen(self._engine, "begin", self._begin)
        self._writer = self._engine.execution_options(pitwall_writes=True)
        try:
            with disk.disk_errors(self.path.parent):
                migrate(self._writer)
        except BaseException as error:
            self._close_file()
            if isinstance(error, Trouble):
                what = error.detail.partition(". ")[0]
                raise Refusal(f"{self.path} cannot be opened: {what}; start again once that is fixed") from error
            raise
        self._group_commit = GroupCommit(self._transaction, self._try_again)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only transaction: a consistent snapshot that no writer blocks."""
        with disk.disk_errors(self.path.parent), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write: committed on leaving and then published, rolled back on an exception.

        Raises Busy after `timing.write_patience_s`, StorageFull or DiskFails where the disk does not take it.
        """
        events: list[OutboxEvent] = []
        try:
            with (
                self._transaction(time.monotonic() + self._patience_s, events) as connection,
                Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session,
            ):
                with session.begin():
                    yield session
                events += outbox.recorded(session)
        except Trouble as trouble:
            self.trouble = trouble.detail
            raise

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        """A small write that shares its transaction, and so its wait for the disk, with simultaneous ones.

        Returns what `work` returns, once it is on the disk and published. If `work` raises, only its own writes are
        rolled back.
        """
        return self.submit(work).result()

    def submit(self, work: Callable[[Session], T]) -> Future[T]:
        """`write_grouped` without waiting: `await asyncio.wrap_future(records.submit(work))` takes no thread.

        `work` runs in another thread. Raises Busy at once if too many writes are waiting.
        """

        def work_with_disk_errors(session: Session) -> T:
            with disk.disk_errors(self.path.parent):
                return work(session)

        future: Future[T] = self._group_commit.submit(work_with_disk_errors, self._patience_s)
        future.add_done_callback(self._note_trouble)
        return future

    def close(self) -> None:
        """Submitted writes are written first."""
        self._group_commit.close()
        self._close_file()

    @contextmanager
    def _transaction(self, ends: float, events: list[OutboxEvent]) -> Iterator[Connection]:
        """A transaction under the write lock. What `events` holds at its end is published once it is on the disk."""
        with self._write_lock.turn(ends), disk.disk_errors(self.path.parent):
            self._ends = ends
            with self._writer.begin() as connection:
                yield connection
            if events:
                self.publish(events)
            self.trouble = None

    def _note_trouble(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, Trouble):
            self.trouble = error.detail

    def _try_again(self) -> None:
        """Without other writes, trouble must not be shown for longer than it lasts."""
        if self.trouble is None:
            return
        try:
            with self._transaction(time.monotonic(), []) as connection:
                sqlite.write_unchanged(connection)
        except Trouble:
            return
        except Exception:
            logger.exception("could not try whether writing works again")

    def _begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get("pitwall_writes", False)
        patience_s = self._ends - time.monotonic() if writes else self._patience_s
        sqlite.begin(connection, writes=writes, patience_s=patience_s)

    def _close_file(self) -> None:
        self._engine.dispose()
        self._lock_file.close()


def migrate(engine: Engine) -> None:
    """Migrate the tables to this version, in one transaction. Refuses a newer schema.

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
    """The version of the schema; None if there are no tables yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return found
