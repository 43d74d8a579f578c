"""HTML of a group: repeats of one recipe, their curves and what they say together. Works without JavaScript.

Must not know SQL or formulas.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.board import groups
from app.charts import curve_charts
from app.metrics import accuracy
from app.metrics.curves import Band, band
from app.run_list import listing
from app.run_list.columns import DEFAULT_COLUMNS
from app.run_list.table import build_run_table
from app.runs import runs
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here
from app.web.templates import page

MAX_REPEATS = 100
MAX_RUNS = 100  # in the table; the list of runs has all

router = APIRouter(include_in_schema=False)
Target = Annotated[float | None, Query(gt=0, lt=1, allow_inf_nan=False)]
Hardware = Annotated[str | None, Query(min_length=1, max_length=120)]


@router.get("/groups/{name}")
def show_group(
    name: str, request: Request, here: Here, hardware: Hardware = None, target: Target = None
) -> HTMLResponse:
    with here.records.read() as session:
        group = groups.load_group(session, name, hardware, target)
        context = {
            "newest": group.runs[0],
            "runs": build_run_table(session, here, group.runs[:MAX_RUNS], DEFAULT_COLUMNS),
            "after": listing.last_event_id(session),
            "plotly": PLOTLY,
        }
        return page(request, "groups/show.html", context | _numbers(group))


@router.get("/groups/{name}/numbers")
def show_group_numbers(
    name: str, request: Request, here: Here, hardware: Hardware = None, target: Target = None
) -> HTMLResponse:
    """What changes while its runs train: first paint and live."""
    with here.records.read() as session:
        return page(request, "groups/_numbers.html", _numbers(groups.load_group(session, name, hardware, target)))


@router.post("/groups/{name}/repeat")
def press_repeat(name: str, here: Here, more: Annotated[int, Form(ge=1, le=MAX_REPEATS)]) -> RedirectResponse:
    """Queue more seeds of the same recipe, after the largest that was used."""
    with here.records.write() as session:
        known = groups.runs_of(session, name)
        seed, root = max(run.seed for run in known) + 1, here.settings.datasets_dir
        runs.relaunch(session, known[0], root, here.now(), {"seed": seed}, name=known[0].name, repeats=more)
    return RedirectResponse(f"/groups/{name}", 303)


def _numbers(group: groups.Group) -> dict[str, Any]:
    curves = list(group.curves.values())
    together = band(curves) if curves else None
    has_tta = accuracy.has_tta(group.runs[0].recipe)
    plain = band(curves, "val_accuracy") if curves and has_tta else None
    return {
        "group": group,
        "numbers": group.numbers,
        "figure": curve_charts.of_group(curves, together, group.target) if together else None,
        "rows": _rows(together, plain) if together else [],
        "has_tta": has_tta,
    }


def _rows(found: Band, plain: Band | None) -> list[dict[str, Any]]:
    """The band as a table, the last epoch first."""
    plain_means = dict(zip(plain.epoch.tolist(), plain.mean.tolist(), strict=True)) if plain else {}
    columns = zip(found.epoch, found.n, found.mean, found.sd, found.low, found.high, found.elapsed, strict=True)
    return [
        {
            "epoch": int(epoch),
            "n": int(n),
            "mean": float(mean),
            "plain": plain_means.get(float(epoch)),
            "sd": None if math.isnan(sd) else float(sd),
            "low": float(low),
            "high": float(high),
            "elapsed": float(elapsed),
        }
        for epoch, n, mean, sd, low, high, elapsed in columns
    ][::-1]
