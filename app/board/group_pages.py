"""HTML page of a group: statistics, curves and runs of one recipe. Works without JavaScript."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app.board import baselines, groups
from app.board.metrics import METRICS
from app.board.verdicts import Answer, Question, answer
from app.charts import curve_charts
from app.metrics import accuracy
from app.metrics.curves import Band, compute_band
from app.records.models import Run
from app.run_list import listing
from app.run_list.columns import DEFAULT_COLUMNS
from app.run_list.table import build_run_table
from app.runs import runs
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here
from app.web.templates import page

MAX_REPEATS = 100
MAX_RUNS = 100  # in the table; the list of runs shows all

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
            "runs": build_run_table(session, here.hub.steps, group.runs[:MAX_RUNS], DEFAULT_COLUMNS),
            "after": listing.last_event_id(session),
            "plotly": PLOTLY,
            "baseline": baselines.find_baseline(session, group.runs[0].dataset),
            "others": groups.list_others(session, group.runs[0]),
            "metrics": METRICS.values(),
            "chosen_hardware": hardware,
            "verdict": _beside_baseline(session, group.runs[0], hardware),
        }
        return page(request, "groups/show.html", context | _numbers(group))


@router.get("/groups/{name}/numbers")
def show_group_numbers(
    name: str, request: Request, here: Here, hardware: Hardware = None, target: Target = None
) -> HTMLResponse:
    """The part of the page that changes while its runs train."""
    with here.records.read() as session:
        return page(request, "groups/_numbers.html", _numbers(groups.load_group(session, name, hardware, target)))


@router.post("/groups/{name}/repeat")
def press_repeat(name: str, here: Here, more: Annotated[int, Form(ge=1, le=MAX_REPEATS)]) -> RedirectResponse:
    """Queue more runs of the recipe, with seeds above the largest used so far."""
    with here.records.write() as session:
        known = groups.load_group_runs(session, name)
        seed, root = max(run.seed for run in known) + 1, here.settings.datasets_dir
        runs.relaunch(session, known[0], root, here.now(), {"seed": seed}, name=known[0].name, repeats=more)
    return RedirectResponse(f"/groups/{name}", 303)


@router.post("/groups/{name}/pin")
def press_pin(name: str, here: Here) -> RedirectResponse:
    """Pin the recipe as the baseline of its data set."""
    with here.records.write() as session:
        newest = groups.load_group_runs(session, name)[0]
        baselines.pin_baseline(session, newest.dataset, newest.recipe_hash, here.now())
    return RedirectResponse(f"/groups/{name}", 303)


@router.post("/groups/{name}/unpin")
def press_unpin(name: str, here: Here) -> RedirectResponse:
    """Nothing happens if another recipe has been pinned meanwhile."""
    with here.records.write() as session:
        newest = groups.load_group_runs(session, name)[0]
        if baselines.find_baseline(session, newest.dataset) == newest.recipe_hash:
            baselines.unpin_baseline(session, newest.dataset)
    return RedirectResponse(f"/groups/{name}", 303)


def _beside_baseline(session: Session, run: Run, hardware: str | None) -> Answer | None:
    """The recipe beside the pinned baseline of its data set, judged with the other rows of the board."""
    baseline = baselines.find_baseline(session, run.dataset)
    if baseline in {None, run.recipe_hash}:
        return None
    return answer(session, Question(str(baseline), run.recipe_hash, family="board", hardware=hardware))


def _numbers(group: groups.Group) -> dict[str, Any]:
    curves = list(group.curves.values())
    band = compute_band(curves) if curves else None
    has_tta = accuracy.has_tta(group.runs[0].recipe)
    band_without_tta = compute_band(curves, "val_accuracy") if curves and has_tta else None
    return {
        "group": group,
        "numbers": group.stats,
        "figure": curve_charts.group_figure(curves, band, group.target, group.recipe_hash) if band else None,
        "rows": _band_rows(band, band_without_tta) if band else [],
        "has_tta": has_tta,
    }


def _band_rows(band: Band, without_tta: Band | None) -> list[dict[str, Any]]:
    """The band as a table, last epoch first."""
    means = dict(zip(without_tta.epoch.tolist(), without_tta.mean.tolist(), strict=True)) if without_tta else {}
    columns = zip(band.epoch, band.n, band.mean, band.sd, band.low, band.high, band.elapsed, strict=True)
    return [
        {
            "epoch": int(epoch),
            "n": int(n),
            "mean": float(mean),
            "without_tta": means.get(float(epoch)),
            "sd": None if math.isnan(sd) else float(sd),
            "low": float(low),
            "high": float(high),
            "elapsed": float(elapsed),
        }
        for epoch, n, mean, sd, low, high, elapsed in columns
    ][::-1]
