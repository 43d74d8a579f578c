"""The summary document of chosen runs: one HTML file with notes, results, how they came about, charts and recipes.

It needs neither Pitwall nor a network: plotly.js is inside, and every number of the charts is also in a table.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Form, Response
from markupsafe import Markup

from app.charts.palette import Look
from app.compare import charts, comparison
from app.compare.comparison import Comparison, Side
from app.compare.provenance import Provenance, trace
from app.compare.query import parse_names, parse_run_ids
from app.errors import InvalidRequest
from app.json_shapes import Name
from app.metrics.verdicts import MAX_SEEDS
from app.runs.recipes import flatten
from app.web.assets import plotly_source
from app.web.deps import Here
from app.web.templates import environment, markdown

CHARTS = (
    ("counted_accuracy", "Validation accuracy"),
    ("val_loss", "Validation loss"),
    ("learning_rate", "Learning rate"),
)
LEGEND_ABOVE = 8  # names; more stand beside the chart


@dataclass(frozen=True)
class Heading:
    title: str
    notes: str = ""  # Markdown


def render_document(found: Comparison, origin: Provenance, heading: Heading, now: datetime) -> str:
    """About 1.3 MB of HTML, nearly all of it plotly.js."""
    return (
        environment()
        .get_template("compare/document.html")
        .render(
            heading=heading,
            notes=markdown(heading.notes),
            now=now,
            found=found,
            origin=origin,
            max_seeds=MAX_SEEDS,
            run_notes=[markdown(side.run.notes) for side in found.sides],
            values=found.values,
            recipes=[flatten(side.run.recipe) for side in found.sides],
            epochs=[_epochs(side) for side in found.sides],
            charts=[_chart(found, field, title) for field, title in CHARTS],
            plotly=Markup(plotly_source().replace("</script", "<\\/script")),  # noqa: S704  # a file of our own package
        )
    )


def _epochs(side: Side) -> list[tuple[float | None, ...]]:
    """(epoch, seconds so far, training loss, validation loss, accuracy, accuracy without TTA); empty for a group."""
    if side.is_group or not side.curves:
        return []
    curve = side.curves[0]
    columns = (curve.epoch, curve.elapsed, curve.train_loss, curve.val_loss, curve.counted_accuracy, curve.val_accuracy)
    rows = np.stack(columns, axis=1).tolist()
    return [tuple(None if math.isnan(value) else value for value in row) for row in rows]


def _chart(found: Comparison, field: str, title: str) -> dict[str, Any]:
    """Plotly traces and layout, in colours for print."""
    figure = charts.curves_figure(found, field)
    traces = [_coloured(trace, found.sides[int(trace["meta"]["role"])].look) for trace in figure["traces"]]
    is_above = len(found.sides) <= LEGEND_ABOVE
    axis = {"gridcolor": "#e3e3e8", "linecolor": "#c8c8d0", "automargin": True}
    layout: dict[str, Any] = {
        "margin": {"l": 56, "r": 12, "t": 8, "b": 40},
        "height": 340 if is_above else max(340, 80 + 19 * len(found.sides)),  # px
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"} if is_above else {},
        "showlegend": True,
        "hovermode": "closest",
        "xaxis": axis | {"title": {"text": "Epoch"}},
        "yaxis": axis | ({"tickformat": ".1%"} if figure["percent"] else {}),
    }
    if figure["target"]:
        line = {"color": "#1c7c4a", "width": 1, "dash": "dash"}
        at = {"y0": figure["target"], "y1": figure["target"]}
        layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": line} | at]
    return {"title": title, "traces": traces, "layout": layout}


def _coloured(trace: dict[str, Any], look: Look) -> dict[str, Any]:
    is_band = bool(trace["meta"].get("is_band"))
    coloured = {key: value for key, value in trace.items() if key != "meta"}
    line = trace.get("line", {}) | {"color": look.on_paper, "width": 0 if is_band else 2}
    coloured["name"] = escape(str(trace["name"]), quote=False)  # Plotly renders <b> and <a> in names
    if "marker" in trace:
        coloured["marker"] = trace["marker"] | {"color": look.on_paper}
    return coloured | {"line": line} | ({"fillcolor": f"{look.on_paper}29"} if is_band else {})


router = APIRouter(include_in_schema=False)
Names = Annotated[list[str], Form(max_length=comparison.MAX_SIDES)]


@router.post("/reports")
def download_summary(
    here: Here,
    title: Annotated[Name, Form()] = "",
    notes: Annotated[str, Form(max_length=100_000)] = "",
    runs: Names = [],  # noqa: B006
    groups: Names = [],  # noqa: B006
    fold: Annotated[bool, Form()] = False,
) -> Response:
    """Always a download: a script in it must not run on Pitwall's origin."""
    run_ids, group_names = parse_run_ids(runs), parse_names(groups)
    if not run_ids and not group_names:
        raise InvalidRequest([("runs", "choose at least one run or group")])
    with here.records.read() as session:
        found = comparison.compare(session, run_ids, group_names, fold=fold)
        text = render_document(found, trace(session, found), Heading(title or "Summary", notes), here.now())
    name = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower() or "summary"
    headers = {"Content-Disposition": f'attachment; filename="{name[:80]}.html"'}
    return Response(text, media_type="text/html; charset=utf-8", headers=headers)
