"""JSON of many runs at once: one verb for all of them, and the list as a file. Must not know SQL or HTML."""

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
from app.run_list import bulk, listing
from app.run_list.columns import column_values, with_accuracies_without_tta
from app.run_list.query import ColumnsFromUrl, QueryFromUrl
from app.run_list.query import QueryFromUrl as Question
from app.run_list.schemas import RunsPage
from app.runs import schemas
from app.web.deps import Here, State

FIXED_COLUMNS = ("id", "name", "status", "tags")  # of every row, before the chosen columns

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


class BulkRequest(RequestModel):
    do: bulk.Verb
    runs: list[Annotated[int, Field(ge=1, lt=2**63)]] = Field(min_length=1, max_length=bulk.MAX_RUNS)
    tag: Tag | None = None


class BulkResponse(BaseModel):
    done: list[int]
    refused: dict[int, str] = Field(description="Runs that were left as they are, and why")
    made: list[int] = Field(description="New runs, by `clone`")


@router.post("/runs/bulk", tags=["runs"])
def act_on_runs(asked: BulkRequest, here: Here) -> BulkResponse:
    """Cancel, pause, resume, tag, untag, clone or delete many runs: each as it would be alone."""
    return BulkResponse(**vars(bulk.apply_to_runs(here, asked.do, asked.runs, asked.tag or "")))


@router.get("/runs.csv", tags=["runs"], response_class=StreamingResponse)
def export_runs_as_csv(here: Here, question: Question, columns: ColumnsFromUrl) -> StreamingResponse:
    """Every run that the question finds, whatever the page, with the chosen `column`s.

    Beside each accuracy that counts stands the plain one (nothing: the recipe has no TTA, the other is plain).
    """
    heads, rows = _rows(here, question, columns)
    return _file(as_csv(heads, rows), "text/csv; charset=utf-8", "runs.csv")


@router.get("/runs.json", tags=["runs"], response_class=StreamingResponse)
def export_runs_as_json(here: Here, question: Question, columns: ColumnsFromUrl) -> StreamingResponse:
    """The same as an array of objects."""
    heads, rows = _rows(here, question, columns)
    return _file(as_json(heads, rows), "application/json", "runs.json")


def _file(pieces: Iterator[str], kind: str, name: str) -> StreamingResponse:
    return StreamingResponse(pieces, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _rows(here: State, question: Question, columns: ColumnsFromUrl) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    """Page by page: a slow reader holds no transaction. The first is read at once, so that mistakes are answers."""
    columns = [column for column in with_accuracies_without_tta(columns) if column.key not in {*FIXED_COLUMNS, "left"}]
    question = replace(question, limit=listing.MAX_LIMIT, cursor=None)
    pages = _pages(here, question, columns)
    first = next(pages)

    def rows() -> Iterator[Sequence[Any]]:
        yield from first
        for page in pages:
            yield from page

    return [*FIXED_COLUMNS, *(column.key for column in columns)], rows()


def _pages(here: State, question: Question, columns: ColumnsFromUrl) -> Iterator[list[tuple[Any, ...]]]:
    cursor: str | None = None
    while True:
        with here.records.read() as session:
            runs, cursor = listing.load_page(session, replace(question, cursor=cursor))
            values = column_values(session, runs, columns)
            page = [(run.id, run.name, str(run.status), list(run.tags), *values[run.id]) for run in runs]
        yield page
        if cursor is None:
            return


@router.get("/runs", tags=["runs"])
def list_runs(here: Here, question: QueryFromUrl) -> RunsPage:
    """Runs, page by page: ask again with `cursor` = `next_cursor` until it is null."""
    with here.records.read() as session:
        rows, next_cursor = listing.load_page(session, question)
        return RunsPage(runs=[schemas.RunResponse.model_validate(run) for run in rows], next_cursor=next_cursor)


# A sheet takes a cell that begins so for a formula: names are other people's text.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Line by line, the head first. Numbers stay numbers, times RFC 3339, nothing for null."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(value) for value in row])


def as_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """An array of objects, piece by piece."""
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
