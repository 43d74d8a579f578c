"""JSON API of many runs: the list, exports as CSV and JSON, bulk actions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.json_shapes import PROBLEM, RequestModel, Tag
from app.records.database import Records
from app.run_list import bulk, listing
from app.run_list.columns import column_values, explain_accuracies
from app.run_list.query import ColumnsFromUrl, QueryFromUrl
from app.runs import schemas
from app.web.deps import Here

FIXED_COLUMNS = ("id", "name", "status", "tags")  # precede the chosen columns

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


class RunsPage(BaseModel):
    runs: list[schemas.RunResponse]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last page")


class BulkRequest(RequestModel):
    do: bulk.Verb
    runs: list[Annotated[int, Field(ge=1, lt=2**63)]] = Field(min_length=1, max_length=bulk.MAX_RUNS)
    tag: Tag | None = Field(None, description="For `tag` and `untag`")


class BulkResponse(BaseModel):
    done: list[int] = Field(description="Runs that were changed")
    refused: dict[int, str] = Field(description="Runs that were not changed, with the reason")
    made: list[int] = Field(description="Runs created by `clone`")


@router.get("/runs", tags=["runs"])
def list_runs(here: Here, query: QueryFromUrl) -> RunsPage:
    """List runs page by page: send `next_cursor` as `cursor` until it is null."""
    with here.records.read() as session:
        rows, next_cursor = listing.load_page(session, query)
        return RunsPage(runs=[schemas.RunResponse.model_validate(run) for run in rows], next_cursor=next_cursor)


@router.post("/runs/bulk", tags=["runs"])
def act_on_runs(body: BulkRequest, here: Here) -> BulkResponse:
    """Cancel, pause, resume, tag, untag, clone or delete many runs. Runs that cannot be changed are skipped."""
    return BulkResponse(**vars(bulk.apply_to_runs(here, body.do, body.runs, body.tag or "")))


@router.get("/runs.csv", tags=["runs"], response_class=StreamingResponse)
def export_runs_as_csv(here: Here, query: QueryFromUrl, columns: ColumnsFromUrl) -> StreamingResponse:
    """Export all runs that match, on any page, with the chosen `column`s, as CSV.

    Each accuracy column is followed by the accuracy without TTA, which is empty if the recipe uses no TTA.
    """
    keys, rows = _rows(here.records, query, columns)
    return _download(as_csv(keys, rows), "text/csv; charset=utf-8", "runs.csv")


@router.get("/runs.json", tags=["runs"], response_class=StreamingResponse)
def export_runs_as_json(here: Here, query: QueryFromUrl, columns: ColumnsFromUrl) -> StreamingResponse:
    """Export all runs that match as a JSON array of objects."""
    keys, rows = _rows(here.records, query, columns)
    return _download(as_json(keys, rows), "application/json", "runs.json")


def _download(chunks: Iterator[str], media_type: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        chunks, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _rows(
    records: Records, query: QueryFromUrl, columns: ColumnsFromUrl
) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    """Read page by page, so that a slow client holds no transaction; the first at once, so that errors get a status."""
    columns = [column for column in explain_accuracies(columns) if column.key not in {*FIXED_COLUMNS, "left"}]
    query = replace(query, limit=listing.MAX_LIMIT, cursor=None)
    pages = _pages(records, query, columns)
    first = next(pages)

    def rows() -> Iterator[Sequence[Any]]:
        yield from first
        for page in pages:
            yield from page

    return [*FIXED_COLUMNS, *(column.key for column in columns)], rows()


def _pages(records: Records, query: QueryFromUrl, columns: ColumnsFromUrl) -> Iterator[list[tuple[Any, ...]]]:
    cursor: str | None = None
    while True:
        with records.read() as session:
            runs, cursor = listing.load_page(session, replace(query, cursor=cursor))
            values = column_values(session, runs, columns)
            page = [(run.id, run.name, str(run.status), list(run.tags), *values[run.id]) for run in runs]
        yield page
        if cursor is None:
            return


# Spreadsheets run a cell that starts with one of these as a formula, and names are untrusted text.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The header, then a line per row. Times are RFC 3339, null is empty."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(value) for value in row])


def as_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """An array of objects, one chunk per row."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(dict(zip(columns, map(_json_value, row), strict=True)))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _json_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    value = _json_value(value)
    if isinstance(value, list | dict):
        return json.dumps(value)
    return (
        f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_PREFIXES) else "" if value is None else value
    )
