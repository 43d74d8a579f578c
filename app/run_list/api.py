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
from app.run_list.columns import Column, column_values, explain_accuracies, find_column
from app.run_list.folded import Fold, FoldedValue, Numbers, load_folds
from app.run_list.query import ColumnsFromUrl, QueryFromUrl
from app.runs import schemas
from app.web.deps import Here

FIXED_COLUMNS = ("id", "name", "status", "tags")  # precede the chosen columns
FIXED_OF_FOLDS = ("recipe_hash", "name", "n", "statuses", "runs")  # the same in a folded export

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


class NumbersResponse(BaseModel):
    """A value over the finished runs of a recipe, each seed once."""

    n: int
    mean: float
    sd: float | None = Field(description="Of the sample; null for n = 1")
    smallest: float
    largest: float


class FoldResponse(BaseModel):
    """Runs of one recipe on the same hardware and data."""

    recipe_hash: str
    name: str = Field(description="Of the newest run")
    dataset: str
    preset: str | None
    hardware: str | None = Field(description="null: none of them has started")
    runs: list[int] = Field(description="Matching runs, newest first")
    statuses: dict[str, int] = Field(description="Number of runs by status, without statuses that none has")
    n: int = Field(description="Finished runs, each seed once")
    last_val_accuracy: NumbersResponse | None
    best_val_accuracy: NumbersResponse | None


class RunsPage(BaseModel):
    runs: list[schemas.RunResponse] = Field(description="Empty with `fold=true`")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last page")
    folds: list[FoldResponse] | None = Field(None, description="With `fold=true`: one for each recipe")
    total_recipes: int | None = Field(None, description="With `fold=true`: different recipes on all pages")
    total_runs: int | None = Field(None, description="With `fold=true`: runs on all pages")


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
    """List runs page by page: send `next_cursor` as `cursor` until it is null.

    With `fold=true` a page has recipes: numbers are sorted by their mean, anything else by that of the newest run.
    """
    with here.records.read() as session:
        if query.fold:
            page = load_folds(session, query, [find_column("last_val_accuracy"), find_column("best_val_accuracy")])
            folds = [_fold_response(fold) for fold in page.folds]
            return RunsPage(
                runs=[],
                next_cursor=page.next_cursor,
                folds=folds,
                total_recipes=page.recipes,
                total_runs=page.runs,
            )
        rows, next_cursor = listing.load_page(session, query)
        return RunsPage(runs=[schemas.RunResponse.model_validate(run) for run in rows], next_cursor=next_cursor)


@router.post("/runs/bulk", tags=["runs"])
def act_on_runs(body: BulkRequest, here: Here) -> BulkResponse:
    """Cancel, pause, resume, tag, untag, clone or delete many runs. Runs that cannot be changed are skipped."""
    return BulkResponse(**vars(bulk.apply_to_runs(here, body.do, body.runs, body.tag or "")))


@router.get("/runs.csv", tags=["runs"], response_class=StreamingResponse)
def export_runs_as_csv(here: Here, query: QueryFromUrl, columns: ColumnsFromUrl) -> StreamingResponse:
    """Export all runs that match, on any page, with the chosen `column`s, as CSV.

    Each accuracy column is followed by the accuracy without TTA, which is empty if the recipe uses no TTA. With
    `fold=true` a line is a recipe: numbers are means, with the standard deviation in the column after them.
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
    pages = (_pages_of_folds if query.fold else _pages)(records, query, columns)
    first = next(pages)

    def rows() -> Iterator[Sequence[Any]]:
        yield from first
        for page in pages:
            yield from page

    if query.fold:
        return [*FIXED_OF_FOLDS, *(key for column in columns for key in (column.key, f"{column.key}.sd"))], rows()
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


def _pages_of_folds(
    records: Records, query: QueryFromUrl, columns: Sequence[Column]
) -> Iterator[list[tuple[Any, ...]]]:
    cursor: str | None = None
    while True:
        with records.read() as session:
            found = load_folds(session, replace(query, cursor=cursor), columns)
            page = [
                (
                    fold.run.recipe_hash,
                    fold.run.name,
                    fold.n,
                    fold.statuses,
                    fold.run_ids,
                    *(cell for value in fold.values for cell in _mean_and_sd(value)),
                )
                for fold in found.folds
            ]
        yield page
        if (cursor := found.next_cursor) is None:
            return


def _mean_and_sd(value: FoldedValue) -> tuple[Any, float | None]:
    """Of numbers; else the value, or a list of different ones."""
    if isinstance(value, Numbers):
        return value.mean, value.sd
    return (value[0] if len(value) == 1 else value or None), None


def _fold_response(fold: Fold) -> FoldResponse:
    last, best = (_numbers_response(value) for value in fold.values)
    return FoldResponse(
        recipe_hash=fold.run.recipe_hash,
        name=fold.run.name,
        dataset=fold.run.dataset,
        preset=fold.run.preset,
        hardware=fold.hardware,
        runs=fold.run_ids,
        statuses=fold.statuses,
        n=fold.n,
        last_val_accuracy=last,
        best_val_accuracy=best,
    )


def _numbers_response(value: FoldedValue) -> NumbersResponse | None:
    if not isinstance(value, Numbers):
        return None
    return NumbersResponse(**vars(value))


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
