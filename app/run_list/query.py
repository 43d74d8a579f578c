"""The question of a list of runs as addresses put it: filters, order, place, and the columns to show.

Must not know SQL, HTML, or what a column is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query

from app.run_list.columns import DEFAULT_COLUMNS, MAX_COLUMNS, Column, find_column
from app.run_list.listing import MAX_CONDITIONS, MAX_LIMIT, ListQuery


def _parse_query(
    status: Annotated[str | None, Query(max_length=100, description="One or several, separated by commas")] = None,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
    tag: Annotated[str | None, Query(max_length=40)] = None,
    group: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Part of the name, notes or preset")] = None,
    sort: Annotated[
        str,
        Query(
            max_length=120,
            description="A column, a knob as `recipe.schedule.max_lr`, or `counted_accuracy@10`; "
            "a leading minus puts the largest first",
        ),
    ] = "-id",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
    where: Annotated[
        list[Annotated[str, Query(max_length=300)]],
        Query(max_length=MAX_CONDITIONS, description="`recipe.schedule.max_lr>=0.2`; all of them must hold"),
    ] = [],  # noqa: B006  # FastAPI copies it
) -> ListQuery:
    """A field that a form left empty asks nothing."""
    conditions = tuple(one for one in where if one.strip())
    return ListQuery(status or None, dataset or None, tag or None, group, q or None, sort, limit, cursor, conditions)


def _parse_columns(
    column: Annotated[
        list[Annotated[str, Query(max_length=120)]],
        Query(max_length=MAX_COLUMNS, description="What to show of each run; default: the usual ones"),
    ] = [],  # noqa: B006
) -> list[Column]:
    """Raises InvalidRequest for one that is not there."""
    wanted = list(dict.fromkeys(one.strip() for one in column if one.strip()))
    return [find_column(key) for key in wanted] or DEFAULT_COLUMNS


QueryFromUrl = Annotated[ListQuery, Depends(_parse_query)]
ColumnsFromUrl = Annotated[list[Column], Depends(_parse_columns)]


@dataclass(frozen=True)
class Addresses:
    """A question as addresses: the same with something changed."""

    question: ListQuery
    columns: list[Column]

    def of(self, path: str = "/runs", **changed: object) -> str:
        """Changed fields that are None are left out; a change begins at the first page."""
        asked = vars(self.question) | {"cursor": None} | changed
        usual = vars(ListQuery())
        pairs = [(key, value) for key, value in asked.items() if value not in (None, "", ()) and value != usual[key]]
        pairs += [("column", column.key) for column in self.columns if not self.is_usual]
        return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path

    @property
    def is_usual(self) -> bool:
        return self.columns == DEFAULT_COLUMNS

    def without_condition(self, condition: str) -> str:
        return self.of(where=tuple(one for one in self.question.where if one != condition))

    def sorted_by(self, key: str) -> str:
        """The other way round where it is the order already; numbers begin with the largest."""
        return self.of(sort=key if self.question.sort == f"-{key}" else f"-{key}")
