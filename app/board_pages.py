"""HTML of the board. Works without JavaScript: the form asks by GET, and the table holds every number of the chart.

Must not know SQL or formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app import board, board_charts, listing, published
from app.board_api import Target
from app.board_metrics import METRICS
from app.board_schemas import MetricName
from app.knob_rows import NOT_THERE, differing
from app.plotly_js import ADDRESS as PLOTLY
from app.rendering import page
from app.state import Here

MOST_KNOBS = 6  # of a row's summary

router = APIRouter(include_in_schema=False)


@router.get("/board")
def show_board(
    request: Request,
    here: Here,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
    metric: MetricName = "time_to_target",
    target: Target = 0.94,
    hardware: Annotated[str | None, Query(max_length=120)] = None,
    fingerprint: Annotated[str | None, Query(max_length=80)] = None,
    with_published: Annotated[bool, Query(alias="published")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> HTMLResponse:
    question = board.Question(dataset or None, metric, target, hardware or None, fingerprint or None, limit)
    with here.records.read() as session:
        found = board.ranked(session, question)
        datasets = listing.datasets(session)
        can_compare = found.question.dataset == published.DATASET and metric in {"time_to_target", "accuracy"}
        others = published.published() if with_published and can_compare else ()
        context = {
            "board": found,
            "question": found.question,
            "metric": METRICS[metric],
            "metrics": METRICS.values(),
            "datasets": datasets,
            "can_compare": can_compare,
            "with_published": with_published,
            "published": others,
            "figure": board_charts.of_board(found, METRICS[metric], others),
            "summaries": _summaries([row.run.recipe for row in found.rows]),
            "as_json": "/api/v1/board?" + urlencode(_asked(found.question)),
            "plotly": PLOTLY,
        }
        return page(request, "board/index.html", context)


def _summaries(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """What is special about each row, in a line."""
    found = differing(recipes)[:MOST_KNOBS]
    return [
        ", ".join(f"{path.rpartition('.')[2]} {values[at]}" for path, values in found if values[at] is not NOT_THERE)
        for at in range(len(recipes))
    ]


def _asked(question: board.Question) -> dict[str, Any]:
    asked = vars(question)
    return {key: value for key, value in asked.items() if value is not None}
