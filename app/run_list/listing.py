"""Queries of many runs: filtered, sorted and paged lists, and the runs by status that pages show."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.records.models import ENDED, HELD, Event, Run, Status
from app.records.sqlite import json_items, last_id
from app.run_list.columns import find_column, parse_condition, sort_key

MAX_LIMIT = 500
MAX_CONDITIONS = 20
MAX_TAGS = 200  # to choose from


@dataclass(frozen=True)
class ListQuery:
    """Filters, order and page of a list of runs. A filter that is None matches all runs."""

    status: str | None = None
    dataset: str | None = None
    tag: str | None = None
    group: int | None = None
    q: str | None = None  # part of name, notes or preset
    sort: str = "-id"  # leading minus: descending
    limit: int = 50
    cursor: str | None = None
    where: tuple[str, ...] = ()  # parsed by columns.parse_condition; all must hold
    fold: bool = False  # one line for each recipe: app.run_list.folded


def load_page(session: Session, query: ListQuery) -> tuple[Sequence[Run], str | None]:
    """The runs of a page and the cursor of the next one (None on the last page). Runs without a value come last.

    The ids are sorted first and the rows read afterwards, because sorting whole rows takes twice as long.
    """
    descending, column = query.sort.startswith("-"), sort_key(query.sort.removeprefix("-"), "sort")
    statement = filtered(select(Run.id, column.label("key")), query)
    if query.cursor:
        statement = statement.where(_after_cursor(column, descending, *decode_cursor(query)))
    order = column.desc().nulls_last() if descending else column.asc().nulls_last()
    tie = Run.id.desc() if descending else Run.id.asc()
    found = session.execute(statement.order_by(order, tie).limit(query.limit + 1)).all()
    rows = load_runs(session, [row.id for row in found[: query.limit]])
    if len(found) <= query.limit:
        return rows, None
    return rows, encode_cursor(query, found[query.limit - 1].key, found[query.limit - 1].id)


def load_runs(session: Session, run_ids: Sequence[int]) -> Sequence[Run]:
    """The runs that exist, in the order of the ids."""
    found = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(run_ids)))}
    return [found[run_id] for run_id in run_ids if run_id in found]


def count_by_status(session: Session) -> dict[str, int]:
    """Number of runs by status; statuses without runs are included."""
    rows = session.execute(select(Run.status, func.count()).group_by(Run.status))
    found = dict(rows.all())
    return {str(status): found.get(str(status), 0) for status in Status}


def dataset_names(session: Session) -> Sequence[str]:
    """Names of all data sets used by at least one run, sorted."""
    return session.scalars(select(Run.dataset).distinct().order_by(Run.dataset)).all()


def tag_names(session: Session, dataset: str) -> Sequence[str]:
    """Tags of the runs on a data set, sorted."""
    tags = json_items(Run.tags)
    query = select(tags.c.value).select_from(Run).join(tags, true()).where(Run.dataset == dataset)
    return session.scalars(query.distinct().order_by(tags.c.value).limit(MAX_TAGS)).all()


def held_runs(session: Session, limit: int) -> Sequence[Run]:
    """Starting and running runs, oldest first."""
    return session.scalars(select(Run).where(Run.status.in_(HELD)).order_by(Run.id).limit(limit)).all()


def queued_and_paused_runs(session: Session, limit: int) -> Sequence[Run]:
    """Queued runs in queue order, then paused ones."""
    order = (Run.status.desc(), Run.priority.desc(), Run.id)  # queued, paused
    pending = Run.status.in_((Status.QUEUED, Status.PAUSED))
    return session.scalars(select(Run).where(pending).order_by(*order).limit(limit)).all()


def ended_runs(session: Session, limit: int, since: datetime | None = None) -> Sequence[Run]:
    """Ended runs, latest first; `since`: only those that ended later."""
    statement = select(Run).where(Run.status.in_(ENDED))
    if since is not None:
        statement = statement.where(Run.ended_at > since)
    return session.scalars(statement.order_by(Run.ended_at.desc()).limit(limit)).all()


def best_of_preset(session: Session, preset: str, dataset: str) -> tuple[int, float | None]:
    """Number of succeeded runs of a preset on a data set, and their best validation accuracy."""
    succeeded = (Run.preset == preset) & (Run.dataset == dataset) & (Run.status == Status.SUCCEEDED)
    runs, best = session.execute(select(func.count(), func.max(Run.best_val_accuracy)).where(succeeded)).one()
    return runs, best


def last_event_id(session: Session) -> int:
    """A stream that starts after this id continues what this transaction read; 0 if there is no event."""
    return session.scalar(select(func.max(Event.id))) or 0


def has_no_launches(session: Session) -> bool:
    """Whether no run was ever launched here, deleted runs included (SQLite remembers the last AUTOINCREMENT id)."""
    return last_id(session, "runs") is None


def has_tag(tag: str) -> ColumnElement[bool]:
    tags = json_items(Run.tags)
    return select(tags.c.value).where(tags.c.value == tag).exists()


def filtered(statement: Select[Any], query: ListQuery) -> Select[Any]:
    """Of the runs that match the query."""
    for one in query.where[:MAX_CONDITIONS]:
        statement = statement.where(parse_condition(one))
    if query.status:
        wanted = query.status.split(",")
        unknown = [status for status in wanted if status not in set(Status)]
        if unknown:
            raise InvalidRequest([("status", f"there is no status {unknown[0]!r}; there are {', '.join(Status)}")])
        statement = statement.where(Run.status.in_(wanted))
    if query.dataset:
        statement = statement.where(Run.dataset == query.dataset)
    if query.group is not None:
        statement = statement.where(Run.group_id == query.group)
    if query.tag:
        statement = statement.where(has_tag(query.tag))
    if query.q:
        statement = statement.where(
            or_(*(text.icontains(query.q, autoescape=True) for text in (Run.name, Run.notes, Run.preset)))
        )
    return statement


def _after_cursor(column: ColumnElement[Any], descending: bool, value: Any, last_id: int) -> ColumnElement[bool]:
    """Keyset paging: runs launched meanwhile neither repeat nor hide a row."""
    after_id = Run.id < last_id if descending else Run.id > last_id
    if value is None:
        return and_(column.is_(None), after_id)
    further = column < value if descending else column > value
    return or_(further, and_(column == value, after_id), column.is_(None))


def encode_cursor(query: ListQuery, value: Any, last_id: int) -> str:
    """`value`: by which the last row of the page is sorted."""
    json_value = value.isoformat() if isinstance(value, datetime) else value
    text = json.dumps([_fingerprint(query), json_value, last_id], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(query: ListQuery, *, is_raw: bool = False) -> tuple[Any, int]:
    """(value, id) of the last row of the page before. `is_raw`: leave times as the database stores them. Raises
    InvalidRequest.
    """
    cursor = query.cursor or ""
    try:
        fingerprint, value, last_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(last_id, int) or not isinstance(value, str | int | float | None):
            raise ValueError("not a cursor")
        if isinstance(last_id, bool) or isinstance(value, bool):
            raise ValueError("no column holds booleans")
        if any(isinstance(one, int) and abs(one) >= 2**63 for one in (value, last_id)):
            raise ValueError("beyond SQLite's integers")
        if not is_raw and find_column(query.sort.removeprefix("-"), "sort").unit == "time" and value is not None:
            value = datetime.fromisoformat(str(value))
            if value.tzinfo is None:
                raise ValueError("a time without a zone")
            value = value.astimezone(UTC)  # as stored; OverflowError beyond the calendar
        elif isinstance(value, str):
            value.encode()  # ValueError for lone surrogates
    except (ValueError, binascii.Error, TypeError, OverflowError):
        raise InvalidRequest([("cursor", "is not a cursor that a page of runs returned: start without it")]) from None
    if fingerprint != _fingerprint(query):
        raise InvalidRequest([("cursor", "belongs to another query: start without it")])
    return value, last_id


def _fingerprint(query: ListQuery) -> str:
    """Hash of everything that decides which rows come, and in which order."""
    parts: tuple[object, ...] = (query.status, query.dataset, query.tag, query.group, query.q, query.sort, query.where)
    parts += ("fold",) if query.fold else ()
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
