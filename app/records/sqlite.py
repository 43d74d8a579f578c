"""What is SQLite's own: column types, JSON paths, upserts, row numbers that are never reused, pragmas, error codes.

Whoever moves the records to another database rewrites this module, `backup` and `restore`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BindParameter, ColumnElement, DateTime, Dialect, Table, TypeDecorator, func, text
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.orm import Session

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered write survives a power cut; NORMAL may roll it back
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",  # 64 MiB
    "PRAGMA trusted_schema=OFF",
    "PRAGMA mmap_size=1073741824",  # 1 GiB, read in place: a look at all runs takes a third of the time; never written
)

# Result codes without their upper bits (sqlite.org/rescode.html).
LOCKED, IO_ERROR, FULL = {5, 6}, 10, 13
FAILING = {8, IO_ERROR, 14}  # 8: read-only, 14: cannot be opened

MAX_INTEGER = 2**63 - 1  # ids and numbers beyond it are not in any table


class UtcDateTime(TypeDecorator[datetime]):
    """SQLite keeps no time zone: store UTC, hand out aware UTC, refuse naive times."""

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


def error_code(error: BaseException) -> int:
    """The result code of an error that the driver raised; 0 for any other. SQLAlchemy's own has it as its cause."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def json_value(column: Any, path: str) -> ColumnElement[Any]:
    """What stands at `augment.0.p` in a JSON column: SQLite writes that `$.augment[0].p`."""
    steps = (f"[{step}]" if step.isdecimal() else f".{step}" for step in path.split("."))
    return func.json_extract(column, "$" + "".join(steps))


def json_items(column: Any) -> Any:
    """The items of a JSON list as a table with one column, `value`."""
    return func.json_each(column).table_valued("value")


def insert_or_ignore(table: Any) -> Insert:
    """An INSERT that leaves a row alone that is there already."""
    found: Table = getattr(table, "__table__", table)
    return insert(found).on_conflict_do_nothing()


def last_id(session: Session, table: str) -> int | None:
    """The largest id that an AUTOINCREMENT table ever gave, deleted rows included; None: it never had a row."""
    found: int | None = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table})
    return found


def set_last_id(session: Session, table: str, number: int) -> None:
    """The next id of an AUTOINCREMENT table will be `number` + 1 or larger."""
    session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table})
    session.execute(
        text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)"), {"table": table, "number": number}
    )
