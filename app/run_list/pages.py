"""HTML of the list of runs: filters, order and columns live in its address, and one verb acts on many runs.

Works without JavaScript. Must not know SQL or what a column is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.run_list import bulk, cells, listing
from app.run_list.query import Addresses, Asked, Columns
from app.runs import schemas
from app.web.deps import Here, State
from app.web.templates import page
from trainer.recipe.knob_paths import titles

MOST_ROWS = 500  # redrawn at once

router = APIRouter(include_in_schema=False)


@router.get("/runs")
def show_runs(request: Request, here: Here, question: Asked, columns: Columns) -> HTMLResponse:
    addresses = Addresses(question, columns)
    with here.records.read() as session:
        rows, next_cursor = listing.listing(session, question)
        context = {
            "counts": listing.counts(session),
            "datasets": listing.datasets(session),
            "question": question,
            "addresses": addresses,
            "older": addresses.of(cursor=next_cursor) if next_cursor else None,
            "is_first_page": question == listing.Question(limit=question.limit),
            "plain": [cells.column(key) for key in cells.PLAIN],
            "knobs": [cells.column(f"recipe.{path}") for path in titles()],
            "chosen": {column.key for column in columns},
            "after": listing.newest_event(session),
        }
        return page(request, "runs/index.html", context | table(session, here, rows, columns, has_boxes=True))


@router.get("/fragments/rows")
def show_rows(
    request: Request,
    here: Here,
    columns: Columns,
    ids: Annotated[str, Query(max_length=10_000, pattern=r"^\d{1,18}(,\d{1,18})*$")],
    boxes: bool = False,
) -> HTMLResponse:
    """Rows that moved, as the table they stand in has them; those of deleted runs are not there."""
    wanted = [int(one) for one in ids.split(",")][:MOST_ROWS]
    with here.records.read() as session:
        rows = listing.some(session, wanted)
        return page(request, "runs/_rows.html", table(session, here, rows, columns, has_boxes=boxes))


@router.post("/runs/bulk")
def press_bulk(
    request: Request,
    here: Here,
    do: Annotated[bulk.Verb, Form()],
    chosen: Annotated[list[int], Form(alias="runs", max_length=bulk.MOST)] = [],  # noqa: B006
    tag: Annotated[schemas.Tag | Literal[""], Form()] = "",
    back: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Back to the same list; where a run was left out, a page that says why."""
    if not chosen:
        raise InvalidRequest([("runs", "none was chosen: tick the boxes of some first")])
    done = bulk.do(here, do, chosen, tag.strip())
    address = "/runs" + (f"?{back}" if back else "")
    if done.refused:
        return page(request, "runs/done.html", {"done": done, "verb": do, "back": address})
    return RedirectResponse(address, 303)


def table(
    session: Session, here: State, rows: Any, columns: list[cells.Column], *, has_boxes: bool = False
) -> dict[str, Any]:
    """What `macros.run_table` and `runs/_rows.html` want."""
    asked = [("column", column.key) for column in columns] + ([("boxes", "1")] if has_boxes else [])
    return {
        "runs": [schemas.RunShown.model_validate(run) for run in rows],
        "columns": columns,
        "cells": cells.values(session, rows, columns),
        "has_boxes": has_boxes,
        "rows_from": "/fragments/rows?" + urlencode(asked),
        "steps": here.hub.steps,
    }
