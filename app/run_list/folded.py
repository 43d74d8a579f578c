"""The folded list of runs: one line for each recipe on the same hardware and data, with the spread over its seeds.

Filters choose runs; order and page choose lines. SQL groups all runs, and only the lines of a page are read in full.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from app.metrics.statistics import compute_deviation, compute_mean
from app.records.models import Run, Status
from app.run_list import listing
from app.run_list.columns import Column, column_values, find_column, sort_key
from app.run_list.folding import fold_runs
from app.run_list.listing import ListQuery

MEASURED = {"share", "seconds", "Wh"}  # units of columns whose mean is over finished runs
DIFFER_BY_RUN = {"recipe.seed", "recipe.target_accuracy"}  # settings that are no part of what a recipe is


@dataclass(frozen=True)
class Numbers:
    """A numeric column over n runs."""

    n: int
    mean: float
    sd: float | None  # of the sample; None for n = 1
    smallest: float
    largest: float


FoldedValue = Numbers | list[Any]  # of anything else the different values, those of newer runs first


@dataclass(frozen=True)
class Fold:
    """A line of the folded list."""

    run: Run  # the newest
    hardware: str | None  # None: none of them has started
    run_ids: list[int]  # newest first
    statuses: dict[str, int]  # number of runs, without statuses that none has
    n: int  # finished runs, of each seed the earliest: what measured values are spread over
    values: list[FoldedValue]  # in the order of the columns


@dataclass(frozen=True)
class FoldsPage:
    folds: list[Fold]
    next_cursor: str | None  # None on the last page
    recipes: int  # on all pages
    lines: int  # more than `recipes` if a recipe ran on several kinds of hardware or data
    runs: int


class _Line(NamedTuple):
    """A line before its runs are read, as the database groups it."""

    recipe_hash: str
    hardware: str | None
    fingerprint: str | None
    newest: int  # run id
    runs: int
    finished: int
    seeds: int  # of finished runs
    key: Any  # what it is sorted by: the mean of numbers, the newest run's of anything else


def load_folds(session: Session, query: ListQuery, columns: Sequence[Column]) -> FoldsPage:
    """Lines without a value come last. Raises InvalidRequest for a wrong sort, condition or cursor."""
    lines = _load_lines(session, query)
    descending = query.sort.startswith("-")
    rest = lines
    if query.cursor:
        value, newest = listing.decode_cursor(query, is_raw=True)
        rest = [line for line in lines if _comes_after(line, value, newest, descending)]
    known, unknown = ([line for line in rest if (line.key is None) is is_none] for is_none in (False, True))
    first = _first(known, descending, query.limit + 1)
    shown = first + _first(unknown, descending, query.limit + 1 - len(first))
    has_more, shown = len(shown) > query.limit, shown[: query.limit]
    return FoldsPage(
        _read(session, query, shown, columns),
        listing.encode_cursor(query, shown[-1].key, shown[-1].newest) if has_more else None,
        len({line.recipe_hash for line in lines}),
        len(lines),
        sum(line.runs for line in lines),
    )


def _load_lines(session: Session, query: ListQuery) -> list[_Line]:
    """Every line."""
    column = find_column(query.sort.removeprefix("-"), "sort")
    is_finished = Run.status == Status.SUCCEEDED
    place = (Run.recipe_hash, Run.hardware, Run.fingerprint)
    grouped = listing.filtered(
        select(
            *place,
            func.max(Run.id).label("newest"),
            func.count(),
            func.count(case((is_finished, 1))),
            func.count(case((is_finished, Run.seed)).distinct()),
            *_means(column),
        ).group_by(*place),
        query,
    )
    if not _has_mean(column):
        one = grouped.subquery()
        grouped = select(*one.c, sort_key(column.key, "sort")).join(Run, Run.id == one.c.newest)
    found = session.connection().execute(grouped).cursor.fetchall()  # plain tuples: there may be a line for each run
    lines = _join_waiting(list(map(partial(tuple.__new__, _Line), found)), column)
    return _with_each_seed_once(session, query, lines, column)


def _join_waiting(lines: list[_Line], column: Column) -> list[_Line]:
    """Runs that have not started join the line of their recipe that started last, as in `fold_runs`."""
    waiting = [line for line in lines if line.hardware is None]
    recipes = {line.recipe_hash for line in waiting}
    latest: dict[str, _Line] = {}
    for line in lines:
        if line.recipe_hash in recipes and line.hardware is not None:
            latest[line.recipe_hash] = max(line, latest.get(line.recipe_hash, line), key=lambda one: one.newest)
    joined = dict(latest)
    for line in waiting:
        if line.recipe_hash in joined:
            joined[line.recipe_hash] = _joined(joined[line.recipe_hash], line, column)
    replaced = {*latest.values(), *(line for line in waiting if line.recipe_hash in latest)}
    return [line for line in lines if line not in replaced] + list(joined.values()) if joined else lines


def _has_mean(column: Column) -> bool:
    return column.unit in MEASURED or (column.unit == "number" and column.key != "id")


def _means(column: Column) -> list[ColumnElement[Any]]:
    if not _has_mean(column):
        return []
    value = sort_key(column.key, "sort")
    return [func.avg(case((Run.status == Status.SUCCEEDED, value)) if column.unit in MEASURED else value)]


def _joined(line: _Line, waiting: _Line, column: Column) -> _Line:
    newer = waiting if waiting.newest > line.newest else line
    return line._replace(
        newest=newer.newest,
        runs=line.runs + waiting.runs,
        finished=line.finished + waiting.finished,
        seeds=line.seeds + waiting.seeds,
        key=line.key if _has_mean(column) and line.key is not None else newer.key,
    )


def _with_each_seed_once(session: Session, query: ListQuery, lines: list[_Line], column: Column) -> list[_Line]:
    """Where a seed finished twice, the mean that lines are sorted by is the one that they show."""
    doubled = [line for line in lines if line.finished > line.seeds]
    if not doubled or column.unit not in MEASURED:
        return lines
    found = {fold.run_ids[0]: fold.values[0] for fold in _read(session, query, doubled, [column])}
    means = {newest: value.mean for newest, value in found.items() if isinstance(value, Numbers)}
    return [line._replace(key=means.get(line.newest, line.key)) for line in lines]


def _order(line: _Line) -> tuple[bool, Any, int]:
    """As SQLite orders: numbers before text."""
    return isinstance(line.key, str), line.key, line.newest


def _first(lines: Iterable[_Line], descending: bool, limit: int) -> list[_Line]:
    return (heapq.nlargest if descending else heapq.nsmallest)(limit, lines, key=_order)


def _comes_after(line: _Line, value: Any, newest: int, descending: bool) -> bool:
    """Whether a line comes after the one with this value and newest run."""
    if line.key is None or value is None:
        is_further = line.newest < newest if descending else line.newest > newest
        return line.key is None and (value is not None or is_further)
    last = line._replace(key=value, newest=newest)
    return _order(line) < _order(last) if descending else _order(line) > _order(last)


class _Row(NamedTuple):
    """A run of a line, and the values of the columns that differ between its runs."""

    id: int
    recipe_hash: str
    hardware: str | None
    fingerprint: str | None
    status: str
    seed: int
    version: str | None
    values: tuple[Any, ...]


ROW_COLUMNS = [getattr(Run, name) for name in _Row._fields[:-1]]


def _read(session: Session, query: ListQuery, lines: Sequence[_Line], columns: Sequence[Column]) -> list[Fold]:
    """The lines with their runs and values."""
    differing = [column for column in columns if column.sql is not None and not _is_the_newest_runs(column)]
    runs = {fold[0].id: fold for fold in fold_runs(_load_rows(session, query, lines, differing))}
    newest = {run.id: run for run in listing.load_runs(session, [line.newest for line in lines])}
    own = column_values(session, list(newest.values()), columns)
    place = {column.key: at for at, column in enumerate(differing)}
    folds = []
    for line in lines:
        rows = runs[line.newest]
        counted = _counted(rows)
        statuses = Counter(row.status for row in rows)
        folds.append(
            Fold(
                newest[line.newest],
                line.hardware,
                [row.id for row in rows],
                {str(status): statuses[status] for status in Status if statuses[status]},
                len(counted),
                [
                    _folded(column, rows, counted, place[column.key]) if column.key in place else [value]
                    for column, value in zip(columns, own[line.newest], strict=True)
                ],
            )
        )
    return folds


def _load_rows(session: Session, query: ListQuery, lines: Sequence[_Line], columns: Sequence[Column]) -> list[_Row]:
    """Newest first."""
    statement = select(*ROW_COLUMNS, *(column.sql for column in columns if column.sql is not None))
    statement = statement.where(Run.recipe_hash.in_({line.recipe_hash for line in lines}))
    found = session.connection().execute(listing.filtered(statement, query)).cursor.fetchall()
    width = len(ROW_COLUMNS)
    return sorted((_Row._make((*row[:width], row[width:])) for row in found), key=itemgetter(0), reverse=True)


def _is_the_newest_runs(column: Column) -> bool:
    """Whether the newest run's value is shown: all runs of a recipe have the same, or it is a time."""
    is_setting = column.key.startswith("recipe.") and column.key not in DIFFER_BY_RUN
    return is_setting or column.unit == "time"


def _counted(rows: Sequence[_Row]) -> list[_Row]:
    """Finished runs, of each seed and version the earliest; `rows` are newest first. As in app/board/samples.py."""
    return list({(row.seed, row.version): row for row in rows if row.status == Status.SUCCEEDED}.values())


def _folded(column: Column, rows: Sequence[_Row], counted: Sequence[_Row], at: int) -> FoldedValue:
    used = counted if column.unit in MEASURED else rows
    known = [row.values[at] for row in used if row.values[at] is not None]
    if column.unit not in MEASURED and column.unit != "number":
        return list(dict.fromkeys(known))
    if not known:
        return []
    sd = compute_deviation(known) if len(known) > 1 else None
    return Numbers(len(known), compute_mean(known), sd, min(known), max(known))
