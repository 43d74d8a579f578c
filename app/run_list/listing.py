"""Many runs at once: filter, sort, page by page. Reads only. Must not know HTTP or HTML."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.records.models import ENDED, HELD, Event, Run, Status
from app.records.sqlite import json_items, last_id
from app.run_list.columns import find_column, parse_condition, sort_key

MAX_LIMIT = 500
MAX_CONDITIONS = 20


@dataclass(frozen=True)
class ListQuery:
    """What somebody wants to see. Every filter that is None lets everything through."""

    status: str | None = None
    dataset: str | None = None
    tag: str | None = None
    group: int | None = None
    q: str | None = None  # part of the name, the notes or the preset
    sort: str = "-id"  # a leading minus: largest first
    limit: int = 50
    cursor: str | None = None
    where: tuple[str, ...] = ()  # conditions as columns.condition reads them, all of which must hold


def load_page(session: Session, question: ListQuery) -> tuple[Sequence[Run], str | None]:
    """The runs of one page and the cursor of the next (None: this is the last). Runs without a value come last.

    Ids are sorted first and the page's runs read then: whole rows carried through a sort take twice as long.
    """
    falling, column = question.sort.startswith("-"), sort_key(question.sort.removeprefix("-"), "sort")
    query = _filtered(select(Run.id, column.label("key")), question)
    if question.cursor:
        query = query.where(_after_cursor(column, falling, *_decode(question)))
    order = column.desc().nulls_last() if falling else column.asc().nulls_last()
    tie = Run.id.desc() if falling else Run.id.asc()
    found = session.execute(query.order_by(order, tie).limit(question.limit + 1)).all()
    rows = load_runs(session, [row.id for row in found[: question.limit]])
    if len(found) <= question.limit:
        return rows, None
    return rows, _encode(question, found[question.limit - 1].key, found[question.limit - 1].id)


def load_runs(session: Session, run_ids: Sequence[int]) -> Sequence[Run]:
    """Those of them that are there, in that order."""
    found = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(run_ids)))}
    return [found[run_id] for run_id in run_ids if run_id in found]


def count_by_status(session: Session) -> dict[str, int]:
    """How many runs stand at each status; every status is there."""
    rows = session.execute(select(Run.status, func.count()).group_by(Run.status))
    found = dict(rows.all())
    return {str(status): found.get(str(status), 0) for status in Status}


def dataset_names(session: Session) -> Sequence[str]:
    """That any run trained on, by name."""
    return session.scalars(select(Run.dataset).distinct().order_by(Run.dataset)).all()


def held_runs(session: Session, limit: int) -> Sequence[Run]:
    """What some worker works on, the oldest first."""
    return session.scalars(select(Run).where(Run.status.in_(HELD)).order_by(Run.id).limit(limit)).all()


def queued_and_paused_runs(session: Session, limit: int) -> Sequence[Run]:
    """What waits for a worker, in the order in which it is given out, and behind that what is paused."""
    order = (Run.status.desc(), Run.priority.desc(), Run.id)  # queued, paused
    stands = Run.status.in_((Status.QUEUED, Status.PAUSED))
    return session.scalars(select(Run).where(stands).order_by(*order).limit(limit)).all()


def ended_runs(session: Session, limit: int, since: datetime | None = None) -> Sequence[Run]:
    """What ended last, or since then."""
    query = select(Run).where(Run.status.in_(ENDED))
    if since is not None:
        query = query.where(Run.ended_at > since)
    return session.scalars(query.order_by(Run.ended_at.desc()).limit(limit)).all()


def best_of_preset(session: Session, preset: str, dataset: str) -> tuple[int, float | None]:
    """How many runs of a preset on a data set have succeeded, and the best validation accuracy among them."""
    succeeded = (Run.preset == preset) & (Run.dataset == dataset) & (Run.status == Status.SUCCEEDED)
    runs, best = session.execute(select(func.count(), func.max(Run.best_val_accuracy)).where(succeeded)).one()
    return runs, best


def last_event_id(session: Session) -> int:
    """The id after which a stream begins that shall miss nothing of what this transaction saw; 0: from the start."""
    return session.scalar(select(func.max(Event.id))) or 0


def has_no_launches(session: Session) -> bool:
    """Whether no run was ever launched here, deleted ones included (SQLite keeps count for AUTOINCREMENT)."""
    return last_id(session, "runs") is None


def _filtered(query: Select[Any], question: ListQuery) -> Select[Any]:
    for one in question.where[:MAX_CONDITIONS]:
        query = query.where(parse_condition(one))
    if question.status:
        wanted = question.status.split(",")
        unknown = [status for status in wanted if status not in set(Status)]
        if unknown:
            raise InvalidRequest([("status", f"there is no status {unknown[0]!r}; there are {', '.join(Status)}")])
        query = query.where(Run.status.in_(wanted))
    if question.dataset:
        query = query.where(Run.dataset == question.dataset)
    if question.group is not None:
        query = query.where(Run.group_id == question.group)
    if question.tag:
        tags = json_items(Run.tags)
        query = query.where(select(tags.c.value).where(tags.c.value == question.tag).exists())
    if question.q:
        query = query.where(
            or_(*(text.icontains(question.q, autoescape=True) for text in (Run.name, Run.notes, Run.preset)))
        )
    return query


def _after_cursor(column: ColumnElement[Any], falling: bool, value: Any, last_id: int) -> ColumnElement[bool]:
    """Rows after the last one shown: keyset paging, so that new runs neither repeat nor hide any."""
    after_id = Run.id < last_id if falling else Run.id > last_id
    if value is None:
        return and_(column.is_(None), after_id)
    further = column < value if falling else column > value
    return or_(further, and_(column == value, after_id), column.is_(None))


def _encode(question: ListQuery, value: Any, last_id: int) -> str:
    plain = value.isoformat() if isinstance(value, datetime) else value
    text = json.dumps([_fingerprint(question), plain, last_id], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(question: ListQuery) -> tuple[Any, int]:
    cursor = question.cursor or ""
    try:
        mark, value, last_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(last_id, int) or not isinstance(value, str | int | float | None):
            raise ValueError("not one of ours")
        if isinstance(last_id, bool) or isinstance(value, bool):
            raise ValueError("no column holds true or false")
        if any(isinstance(one, int) and abs(one) >= 2**63 for one in (value, last_id)):
            raise ValueError("beyond SQLite's numbers")
        if find_column(question.sort.removeprefix("-"), "sort").unit == "time" and value is not None:
            value = datetime.fromisoformat(str(value))
            if value.tzinfo is None:
                raise ValueError("not a time of ours")
            value = value.astimezone(UTC)  # as stored; what is beyond the calendar there is no time of ours
        elif isinstance(value, str):
            value.encode()  # a lone surrogate is a ValueError
    except (ValueError, binascii.Error, TypeError, OverflowError):
        raise InvalidRequest([("cursor", "is not one that a page of runs gave: start without it")]) from None
    if mark != _fingerprint(question):
        raise InvalidRequest([("cursor", "is of another query: start without it")])
    return value, last_id


def _fingerprint(question: ListQuery) -> str:
    """Of all that decides which rows come, and in which order."""
    asked = (question.status, question.dataset, question.tag, question.group, question.q, question.sort, question.where)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]
