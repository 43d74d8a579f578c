"""HTML page of the board. Works without JavaScript: its form uses GET, and the table has every number of the chart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BeforeValidator

from app.board import charts, published, ranking, settles
from app.board.api import Days, Tag, Target
from app.board.metrics import METRICS
from app.board.schemas import MetricName, WorkerEdited
from app.board.settle_pages import STATUSES
from app.board.verdicts import format_difference
from app.errors import InvalidRequest
from app.run_list import listing
from app.run_list.columns import setting_title
from app.runs.recipes import MISSING, differing_settings
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here
from app.web.templates import format_setting, page
from app.workers import prices
from app.workers.listing import list_known

DECIMAL_COMMA = re.compile(r"^\s*(\d+),(\d{1,2})\s*$")  # 0,50; but 1,000 is refused
MAX_ROWS = 200
PERIODS = ((1, "the last day"), (7, "the last 7 days"), (30, "the last 30 days"))
EmptyIsNone = BeforeValidator(lambda value: (value and value.replace(",", ".")) or None)  # as typed into a form
MAX_SETTINGS = 6  # in a row's summary

router = APIRouter(include_in_schema=False)


@router.get("/board")
def show_board(
    request: Request,
    here: Here,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
    metric: MetricName = "time_to_target",
    target: Annotated[Target, EmptyIsNone] = None,
    hardware: Annotated[str | None, Query(max_length=120)] = None,
    fingerprint: Annotated[str | None, Query(max_length=80)] = None,
    tag: Tag = None,
    days: Annotated[Days, EmptyIsNone] = None,
    with_published: Annotated[bool, Query(alias="published")] = False,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 50,
) -> HTMLResponse:
    since = here.now() - timedelta(days=days) if days else None
    chosen = (dataset or None, metric, target, hardware or None, fingerprint or None, limit, tag or None, since)
    query = ranking.BoardQuery(*chosen)
    with here.records.read() as session:
        board = ranking.rank_recipes(session, query)
        if ranking.find_unknown_filters(board):  # left over from another data set
            board = ranking.rank_recipes(session, replace(query, hardware=None, fingerprint=None))
        ranked_by = board.metric.name
        can_compare = board.query.dataset == published.DATASET and ranked_by in {"time_to_target", "accuracy"}
        is_same_target = ranked_by == "accuracy" or board.target == published.TARGET
        results = published.load_published() if with_published and can_compare else ()
        context = {
            "board": board,
            "query": board.query,
            "metric": board.metric,
            "metrics": METRICS.values(),
            "differences": [
                format_difference(row.verdict.difference, row.verdict.interval, board.metric)
                if row.verdict
                else ("", "")
                for row in board.rows
            ],
            "days": days,
            "periods": PERIODS,
            "tags": listing.tag_names(session, board.query.dataset or ""),
            "datasets": listing.dataset_names(session),
            "can_compare": can_compare,
            "with_published": with_published,
            "published": results,
            "figure": charts.board_figure(board, results if is_same_target else ()),
            "summaries": _summarize([row.run.recipe for row in board.rows]),
            "settles": settles.load_recent(session, dataset=board.query.dataset),
            "settle_statuses": STATUSES,
            "workers": list_known(session, here.leases),
            "query_string": _query_string(board.query, days),
            "more": _query_string(replace(board.query, limit=MAX_ROWS), days) if limit < MAX_ROWS else None,
            "plotly": PLOTLY,
        }
        return page(request, "board/index.html", context)


@router.post("/workers/price")
def press_price(
    here: Here,
    name: Annotated[str, Form(max_length=120)],
    price: Annotated[str, Form(max_length=20)] = "",
    back: Annotated[str, Form(max_length=1000)] = "",
) -> RedirectResponse:
    """An empty price is stored as not known."""
    try:
        edit = WorkerEdited(price_per_hour=float(DECIMAL_COMMA.sub(r"\1.\2", price)) if price.strip() else None)
    except ValueError:
        raise InvalidRequest([("price", f"{price!r} is not a price: use 0 to 1,000,000, or leave it empty")]) from None
    with here.records.write() as session:
        prices.set_price(session, name, edit.price_per_hour)
    return RedirectResponse("/board" + (f"?{back}" if back else ""), 303)


def _summarize(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """For each row, the settings in which the recipes differ."""
    shown = [(setting_title(path).lower(), values) for path, values in differing_settings(recipes)[:MAX_SETTINGS]]
    return [
        ", ".join(f"{title} {format_setting(values[row])}" for title, values in shown if values[row] is not MISSING)
        for row in range(len(recipes))
    ]


def _query_string(query: ranking.BoardQuery, days: float | None) -> str:
    values = vars(query) | {"since": None, "days": days}
    return urlencode({key: value for key, value in values.items() if value is not None})
