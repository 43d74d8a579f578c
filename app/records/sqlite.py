"""All that is specific to SQLite: column types, JSON paths, upserts, transactions, pragmas, AUTOINCREMENT, error codes.

Another database needs another module of this kind, and another `backup` and `restore`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Table,
    TypeDecorator,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.orm import Session

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered write survives a power cut; NORMAL may roll it back
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",  # 64 MiB
    "PRAGMA trusted_schema=OFF",
    "PRAGMA mmap_size=1073741824",  # 1 GiB, read in place: queries over all runs take a third of the time
)

# Result codes without their upper bits (sqlite.org/rescode.html).
LOCKED, IO_ERROR, FULL = {5, 6}, 10, 13
FAILING = {8, IO_ERROR, 14}  # 8: read-only, 14: cannot be opened

MAX_INTEGER = 2**63 - 1  # ids and numbers beyond it are not in any table


class UtcDateTime(TypeDecorator[datetime]):
    """SQLite has no time zones: stores UTC, returns aware times in UTC, refuses naive ones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times must be aware")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Jsonb(TypeDecorator[dict[str, Any]]):
    """JSON in SQLite's parsed form: sorting thousands of rows by a value inside takes a third of the time."""

    impl = JSON
    cache_ok = True

    def bind_expression(self, bindparam: BindParameter[Any]) -> ColumnElement[Any]:
        return func.jsonb(bindparam, type_=self)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.json(column, type_=self)


def prepare_connection(connection: Any, record: object) -> None:
    """For SQLAlchemy's `connect` event."""
    connection.isolation_level = None  # the driver's own transactions begin too late: see `begin`
    for pragma in PRAGMAS:
        connection.execute(pragma).close()


def begin(connection: Connection, *, writes: bool, patience_s: float) -> None:
    """BEGIN IMMEDIATE for writers: a reader that turns writer gets SQLITE_BUSY at once, regardless of the timeout.

    `patience_s`: how long to wait for other programs; at least a millisecond.
    """
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout={int(max(patience_s, 0.001) * 1000)}").close()
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()


def write_unchanged(connection: Connection) -> None:
    """Write a page without changing anything: does writing work?"""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar()
    connection.exec_driver_sql(f"PRAGMA user_version={version}")


def error_code(error: BaseException) -> int:
    """The result code of a driver error; 0 for any other. Pass the cause (`__cause__`) of an error of SQLAlchemy."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def json_value(column: Any, path: str) -> ColumnElement[Any]:
    """The value at a path such as `augment.0.p` in a JSON column. SQLite's own form is `$.augment[0].p`."""
    return func.json_extract(column, _json_path(path))


def constant_json_value(column: Any, path: str) -> ColumnElement[Any]:
    """The same with the path in the statement's text: only for paths that stand in our code."""
    return func.json_extract(column, literal_column(f"'{_json_path(path)}'"))


def _json_path(path: str) -> str:
    return "$" + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in path.split("."))


def json_items(column: Any) -> Any:
    """The items of a JSON list as a table with one column, `value`."""
    return func.json_each(column).table_valued("value")


def insert_or_ignore(table: Table) -> Insert:
    """An INSERT that changes nothing where the row exists; see `changed_a_row`."""
    return insert(table).on_conflict_do_nothing()


def changed_a_row(result: Any) -> bool:
    """Whether a conditional UPDATE or INSERT met its condition."""
    return bool(result.rowcount)


def last_id(session: Session, table: str) -> int | None:
    """The largest id that an AUTOINCREMENT table ever used, deleted rows included; None: it never had a row."""
    found: int | None = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table})
    return found


def set_last_id(session: Session, table: str, number: int) -> None:
    """The next id of an AUTOINCREMENT table will be `number` + 1 or larger."""
    session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table})
    session.execute(
        text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)"), {"table": table, "number": number}
    )
