"""Pages of the list of runs. Filters, order and columns are in the URL; forms apply one action to many runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.json_shapes import Tag
from app.run_list import bulk, listing
from app.run_list.columns import COLUMNS, find_column
from app.run_list.folded import load_folds
from app.run_list.query import ColumnsFromUrl, ListUrls, QueryFromUrl
from app.run_list.table import build_run_table
from app.web.deps import Here
from app.web.templates import page
from trainer.recipe.knob_paths import titles

MAX_ROWS = 500  # redrawn by one request

router = APIRouter(include_in_schema=False)


@router.get("/runs")
def show_runs(request: Request, here: Here, query: QueryFromUrl, columns: ColumnsFromUrl) -> HTMLResponse:
    urls = ListUrls(query, columns)
    with here.records.read() as session:
        context = {
            "counts": listing.count_by_status(session),
            "datasets": listing.dataset_names(session),
            "query": query,
            "is_first_page": query == listing.ListQuery(limit=query.limit),
            "run_columns": [find_column(key) for key in COLUMNS],
            "setting_columns": [find_column(f"recipe.{path}") for path in titles()],
            "chosen": {column.key for column in columns},
            "chosen_columns": columns,
            "after": listing.last_event_id(session),
        }
        if query.fold:
            return page(request, "runs/index.html", context | _folds(session, urls))
        rows, next_cursor = listing.load_page(session, query)
        context |= {"urls": urls, "older": urls.with_changes(cursor=next_cursor) if next_cursor else None}
        return page(
            request,
            "runs/index.html",
            context | build_run_table(session, here.hub.steps, rows, columns, has_boxes=True),
        )


@router.get("/fragments/folds")
def show_folds(request: Request, here: Here, query: QueryFromUrl, columns: ColumnsFromUrl) -> HTMLResponse:
    """The table of a folded list, to redraw it when runs start or end."""
    with here.records.read() as session:
        return page(request, "runs/_folds.html", _folds(session, ListUrls(replace(query, fold=True), columns)))


def _folds(session: Session, urls: ListUrls) -> dict[str, Any]:
    columns = [column for column in urls.columns if column.key != "left"]  # of a single run
    found = load_folds(session, urls.query, columns)
    return {
        "found": found,
        "columns": columns,
        "urls": urls,
        "query": urls.query,
        "fragment": urls.with_changes("/fragments/folds", cursor=urls.query.cursor),
        "older": urls.with_changes(cursor=found.next_cursor) if found.next_cursor else None,
    }


@router.get("/fragments/rows")
def show_rows(
    request: Request,
    here: Here,
    columns: ColumnsFromUrl,
    ids: Annotated[str, Query(max_length=10_000, pattern=r"^\d{1,18}(,\d{1,18})*$")],
    boxes: bool = False,
) -> HTMLResponse:
    """Rows to redraw, in the columns of their table. Deleted runs are left out."""
    wanted = [int(one) for one in ids.split(",")][:MAX_ROWS]
    with here.records.read() as session:
        rows = listing.load_runs(session, wanted)
        return page(
            request, "runs/_rows.html", build_run_table(session, here.hub.steps, rows, columns, has_boxes=boxes)
        )


@router.post("/runs/bulk")
def press_bulk(
    request: Request,
    here: Here,
    do: Annotated[bulk.Verb, Form()],
    chosen: Annotated[list[int], Form(alias="runs", max_length=bulk.MAX_RUNS)] = [],  # noqa: B006
    tag: Annotated[Tag | Literal[""], Form()] = "",
    back: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Redirect to the same list, or show which runs were skipped and why."""
    if not chosen:
        raise InvalidRequest([("runs", "none is selected: select some first")])
    result = bulk.apply_to_runs(here, do, chosen, tag.strip())
    address = "/runs" + (f"?{back}" if back else "")
    if result.refused:
        return page(request, "runs/bulk_result.html", {"result": result, "verb": do, "back": address})
    return RedirectResponse(address, 303)
