"""HTML pages of settles: the button *Repeat until decided*, and where each of them stands. Work without JavaScript."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app.board import groups, settles
from app.board.metrics import METRICS, Metric
from app.board.schemas import MetricName
from app.board.verdicts import MAX_MAX_SEEDS, MIN_MAX_SEEDS, Question, format_difference
from app.errors import InvalidRequest, NotFound
from app.metrics.verdicts import MAX_SEEDS
from app.records.models import Settle
from app.run_list import listing
from app.run_list.columns import DEFAULT_COLUMNS
from app.run_list.table import build_run_table
from app.web.deps import Here, State
from app.web.templates import page

MARGIN_UNITS = {"share": 0.01, "count": 1.0, "ratio": 0.01}  # of the form: points, epochs, per cent
MARGIN_NAMES = {"share": "percentage points", "count": "epochs", "ratio": "%"}
DECIMAL_COMMA = re.compile(r"^(\d*),(\d+)$")


class Label(NamedTuple):
    label: str
    tone: str  # the status of a run that looks the same


STATUSES = {
    "running": Label("Running", "running"),
    "decided": Label("Decided", "succeeded"),
    "undecided": Label("Undecided", "paused"),
    "cancelled": Label("Cancelled", "cancelled"),
    "failed": Label("Failed", "failed"),
}

router = APIRouter(include_in_schema=False)
HashField = Annotated[str, Form(max_length=64)]
TextField = Annotated[str, Form(max_length=20)]


@router.post("/settles")
def press_settle(
    here: Here,
    baseline: HashField,
    candidate: HashField,
    metric: Annotated[MetricName, Form()],
    target: TextField = "",
    margin: TextField = "",
    max_seeds: TextField = str(MAX_SEEDS),
    hardware: Annotated[str, Form(max_length=120)] = "",
    fingerprint: Annotated[str, Form(max_length=80)] = "",
    family: Annotated[Literal["pair", "board"], Form()] = "pair",
) -> RedirectResponse:
    """Begin, or open the one that already runs. Empty fields mean the default."""
    question = Question(
        baseline,
        candidate,
        metric,
        _read_number("target", target, "a share between 0 and 1, such as 0.94", most=1),
        margin=_read_margin(margin, METRICS[metric]),
        family=family,
        max_seeds=_read_seeds(max_seeds),
        hardware=hardware or None,
        fingerprint=fingerprint or None,
    )
    with here.records.write() as session:
        hashes = (_find_hash(session, baseline), _find_hash(session, candidate))
        settle = settles.find_running(session, hashes, metric) or settles.start(session, question, here)
    return RedirectResponse(f"/settles/{settle.id}", 303)


@router.get("/settles/{settle_id}")
def show_settle(settle_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        context = _context(session, settles.find(session, settle_id), here)
        return page(request, "board/settle.html", context | {"after": listing.last_event_id(session)})


@router.get("/settles/{settle_id}/state")
def show_settle_state(settle_id: int, request: Request, here: Here) -> HTMLResponse:
    """The part of the page that changes while its runs train."""
    with here.records.read() as session:
        return page(request, "board/_settle.html", _context(session, settles.find(session, settle_id), here))


@router.post("/settles/{settle_id}/cancel")
def press_cancel(settle_id: int, here: Here) -> RedirectResponse:
    with here.records.write() as session:
        settles.cancel(session, settle_id, here)
    return RedirectResponse(f"/settles/{settle_id}", 303)


def _context(session: Session, settle: Settle, here: State) -> dict[str, Any]:
    progress = settles.describe_progress(session, settle, here.leases)
    metric, verdict = METRICS[settle.metric], settle.verdict or {}
    difference, interval = format_difference(verdict["difference"], verdict["interval"], metric)
    return {
        "settle": settle,
        "progress": progress,
        "metric": metric,
        "verdict": verdict,
        "difference": difference,
        "interval": interval,
        "margin": f"{settle.margin / MARGIN_UNITS[metric.scale]:g} {MARGIN_NAMES[metric.scale]}"
        if settle.margin
        else "",
        "settle_statuses": STATUSES,
        "names": [_find_name(session, recipe) for recipe in (settle.baseline, settle.candidate)],
        "runs": build_run_table(session, here.hub.steps, list(progress.runs)[::-1], DEFAULT_COLUMNS),
    }


def _find_name(session: Session, recipe: str) -> str | None:
    """None: all of its runs have been deleted."""
    try:
        return groups.load_group_runs(session, recipe)[0].name
    except NotFound:
        return None


def _find_hash(session: Session, name: str) -> str:
    return groups.load_group_runs(session, name)[0].recipe_hash


def _read_margin(text: str, metric: Metric) -> float | None:
    wanted = f"a number of {MARGIN_NAMES[metric.scale]} above 0, such as 0.5; or leave it empty"
    number = _read_number("margin", text, wanted, most=1e6)
    return None if number is None else number * MARGIN_UNITS[metric.scale]


def _read_number(field: str, text: str, wanted: str, most: float) -> float | None:
    """A positive number below `most`, with a decimal point or comma; None if the field is empty."""
    if not text.strip():
        return None
    try:
        number = float(DECIMAL_COMMA.sub(r"\1.\2", text.strip()))
    except ValueError:
        number = math.nan
    if not 0 < number < most:
        raise InvalidRequest([(field, f"{text[:20]!r} does not work: use {wanted}")])
    return number


def _read_seeds(text: str) -> int:
    number = int(text) if text.strip().isdecimal() else MAX_SEEDS if not text.strip() else 0
    if not MIN_MAX_SEEDS <= number <= MAX_MAX_SEEDS:
        wanted = f"use a whole number from {MIN_MAX_SEEDS} to {MAX_MAX_SEEDS}"
        raise InvalidRequest([("max_seeds", f"{text[:20]!r} does not work: {wanted}")])
    return number
