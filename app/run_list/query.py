"""The list's query in URLs: filters, order, page and columns, read from requests and written into links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query

from app.run_list.columns import DEFAULT_COLUMNS, MAX_COLUMNS, Column, find_column
from app.run_list.listing import MAX_CONDITIONS, MAX_LIMIT, ListQuery


def _parse_query(
    status: Annotated[str | None, Query(max_length=100, description="One or more, separated by commas")] = None,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
    tag: Annotated[str | None, Query(max_length=40)] = None,
    group: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Part of the name, notes or preset")] = None,
    sort: Annotated[
        str,
        Query(
            max_length=120,
            description="A column, a setting such as `recipe.schedule.max_lr`, or `counted_accuracy@10`; "
            "a leading minus sorts in descending order",
        ),
    ] = "-id",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
    where: Annotated[
        list[Annotated[str, Query(max_length=300)]],
        Query(max_length=MAX_CONDITIONS, description="Conditions such as `recipe.schedule.max_lr>=0.2`; all must hold"),
    ] = [],  # noqa: B006  # FastAPI copies it
    fold: Annotated[
        bool, Query(description="One line for each recipe, on the same hardware and data, instead of one for each run")
    ] = False,
) -> ListQuery:
    """Fields that a form left empty are no filter."""
    conditions = tuple(one for one in where if one.strip())
    return ListQuery(
        status or None, dataset or None, tag or None, group, q or None, sort, limit, cursor, conditions, fold
    )


def _parse_columns(
    column: Annotated[
        list[Annotated[str, Query(max_length=120)]],
        Query(max_length=MAX_COLUMNS, description="Columns to return; default: those of the list"),
    ] = [],  # noqa: B006
) -> list[Column]:
    """Raises InvalidRequest for an unknown column."""
    wanted = list(dict.fromkeys(one.strip() for one in column if one.strip()))
    return [find_column(key) for key in wanted] or DEFAULT_COLUMNS


QueryFromUrl = Annotated[ListQuery, Depends(_parse_query)]
ColumnsFromUrl = Annotated[list[Column], Depends(_parse_columns)]


@dataclass(frozen=True)
class ListUrls:
    """URLs of the current list with something changed."""

    query: ListQuery
    columns: list[Column]

    def with_changes(self, path: str = "/runs", **changed: object) -> str:
        """Fields changed to None are left out. A change leads to the first page."""
        fields = vars(self.query) | {"cursor": None} | changed
        default = vars(ListQuery())
        pairs = [
            (key, 1 if value is True else value)
            for key, value in fields.items()
            if value not in (None, "", ()) and value != default[key]
        ]
        pairs += [("column", column.key) for column in self.columns if self.columns != DEFAULT_COLUMNS]
        return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path

    def without_condition(self, condition: str) -> str:
        return self.with_changes(where=tuple(one for one in self.query.where if one != condition))

    def sorted_by(self, key: str) -> str:
        """Descending; ascending if the list is already sorted so."""
        return self.with_changes(sort=key if self.query.sort == f"-{key}" else f"-{key}")
