"""The home page: running, queued and recently finished runs, workers and their load, the top of the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from app.board import ranking
from app.board.metrics import METRICS
from app.charts.svg_paths import sparkline_points
from app.errors import NotFound
from app.live.device_load import WINDOW_S, DeviceLoads
from app.metrics import curves
from app.records import disk
from app.records.models import Status
from app.run_list import listing
from app.run_list.columns import Column, find_column
from app.run_list.table import build_run_table
from app.runs import schemas
from app.web.deps import Here, State
from app.web.templates import page
from app.workers.listing import WorkerResponse, list_known

MAX_CARDS, MAX_QUEUED, ENDED_ROWS, LEADERBOARD_ROWS = 12, 30, 10, 3  # rows of each part
VISIT_COOKIE = "pitwall_visit"
VISIT_TIMEOUT_S = 20 * 60  # after this long without a request, the next one starts a new visit
COOKIE_MAX_AGE_S = 31 * 24 * 3600

router = APIRouter(include_in_schema=False)
Steps = Mapping[int, dict[str, Any]]  # the newest step of each starting or running run
Since = Annotated[int, Query(ge=0, lt=2**40)]


@dataclass(frozen=True)
class Card:
    """A starting or running run."""

    run: schemas.RunResponse
    step: dict[str, Any] | None
    curve: str  # SVG points of its accuracy over the planned epochs; empty before the first epoch


@dataclass(frozen=True)
class Device:
    """A worker and the recent load of its device."""

    worker: WorkerResponse
    now: dict[str, Any]  # the latest reading; empty if there is none
    busy: str  # SVG points
    watts: str  # SVG points


@router.get("/")
def show_home(request: Request, here: Here) -> HTMLResponse:
    since, cookie = _visit(request.cookies.get(VISIT_COOKIE, ""), int(here.now().timestamp()))
    with here.records.read() as session:
        context = (
            _now(session, here.hub.steps, since) | _devices(session, here) | {"leaderboard": _leaderboard(session)}
        )
        answer = page(request, "home.html", context | {"after": listing.last_event_id(session)})
    answer.set_cookie(VISIT_COOKIE, cookie, max_age=COOKIE_MAX_AGE_S, httponly=True, samesite="lax")
    return answer


@router.get("/fragments/now")
def show_now(request: Request, here: Here, since: Since = 0) -> HTMLResponse:
    with here.records.read() as session:
        return page(request, "_now.html", _now(session, here.hub.steps, since))


@router.get("/fragments/card/{run_id}")
def show_card(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        rows = listing.load_runs(session, [run_id])
        if not rows:
            raise NotFound(f"there is no run {run_id}")
        return page(request, "_card.html", {"card": _cards(session, here.hub.steps, rows)[0]})


@router.get("/fragments/devices")
def show_devices(request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        return page(request, "_devices.html", _devices(session, here))


def _visit(cookie: str, now: int) -> tuple[int, str]:
    """(end of the previous visit, 0 if there was none; the new cookie). A cookie is `PREVIOUS_END.LAST_REQUEST`."""
    before, _, last = cookie.partition(".")
    if not (before.isdecimal() and last.isdecimal() and len(cookie) < 40) or int(last) > now:
        return 0, f"0.{now}"
    since = int(last) if now - int(last) > VISIT_TIMEOUT_S else int(before)
    return since, f"{since}.{now}"


def _now(session: Session, steps: Steps, since: int) -> dict[str, Any]:
    running = listing.held_runs(session, MAX_CARDS)
    waiting = listing.queued_and_paused_runs(session, MAX_QUEUED + 2)  # the last one shown can move behind the next
    news = listing.ended_runs(session, ENDED_ROWS, datetime.fromtimestamp(since, UTC)) if since else []
    return {
        "cards": _cards(session, steps, running),
        "waiting": _queue_rows(waiting),
        "is_more_waiting": len(waiting) > MAX_QUEUED,
        "are_news": bool(news),
        "ended": build_run_table(session, steps, news or listing.ended_runs(session, ENDED_ROWS), _ended_columns()),
        "since": since,
    }


def _ended_columns() -> list[Column]:
    return [find_column(key) for key in ("best_val_accuracy", "elapsed_seconds", "ended_at")]


def _cards(session: Session, steps: Steps, rows: Any) -> list[Card]:
    drawn = curves.load_curves(session, [run.id for run in rows])
    return [Card(schemas.RunResponse.model_validate(run), steps.get(run.id), _curve(run, drawn)) for run in rows]


def _curve(run: Any, drawn: dict[int, curves.Curve]) -> str:
    if run.id not in drawn:
        return ""
    curve = drawn[run.id]
    known = [one for one in curve.counted_accuracy.tolist() if not math.isnan(one)]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    return sparkline_points(curve.epoch.tolist(), curve.counted_accuracy.tolist(), across=(1, run.epochs), up=ends)


def _queue_rows(runs: Any) -> list[dict[str, Any]]:
    """Each pending run with the values of its buttons: the run to move before."""
    queue = [run.id for run in runs if run.status == Status.QUEUED]
    places = {run_id: at for at, run_id in enumerate(queue)}
    rows = []
    for run in runs[:MAX_QUEUED]:
        at = places.get(run.id)  # None: paused, so not in the queue
        rows.append(
            {
                "run": schemas.RunResponse.model_validate(run),
                "first": queue[0] if at else None,
                "up": queue[at - 1] if at else None,
                "down": None if at is None or at + 1 == len(queue) else queue[at + 2] if at + 2 < len(queue) else "",
            }
        )
    return rows


def _devices(session: Session, here: State) -> dict[str, Any]:
    return {
        "devices": [_device(worker, here.gauges) for worker in list_known(session, here.leases)],
        "disk": disk.free_space(here.settings.data_dir),
        "minutes": round(WINDOW_S / 60),
    }


def _device(worker: WorkerResponse, gauges: DeviceLoads) -> Device:
    samples = gauges.list_samples(worker.name) if worker.present else []
    times = [-sample.ago_s for sample in samples]

    def line(name: str, most: float) -> str:
        values = [sample.reading[name] for sample in samples]
        return sparkline_points(times, values, across=(-WINDOW_S, 0), up=(0, most))

    drawn = [sample.reading["watts"] or 0 for sample in samples]
    return Device(worker, samples[-1].reading if samples else {}, line("busy", 1), line("watts", max([1, *drawn])))


def _leaderboard(session: Session) -> dict[str, Any] | None:
    """The first rows of the default board; None if no recipe is ranked."""
    found = ranking.rank_recipes(session, ranking.BoardQuery(limit=LEADERBOARD_ROWS))
    rows = [row for row in found.rows if row.rank is not None]
    return {"rows": rows, "query": found.query, "metric": METRICS[found.query.metric]} if rows else None
