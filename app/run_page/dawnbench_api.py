"""A run as an entry of DAWNBench, to be downloaded. Must not know SQL or the format."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.board import ranking
from app.errors import Conflict
from app.run_page import dawnbench
from app.runs import responses, runs
from app.runs.api import PROBLEM
from app.web.deps import Here, State

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/runs/{run_id}/dawnbench.json", tags=["runs"])
def get_dawnbench_entry(run_id: int, here: Here) -> Response:
    """The run as an entry of DAWNBench: what it ran on, and its recipe."""
    name, entry, _ = _dawnbench(here, run_id)
    return _file(entry, "application/json", f"{name}.json")


@router.get("/runs/{run_id}/dawnbench.tsv", tags=["runs"])
def get_dawnbench_table(run_id: int, here: Here) -> Response:
    """Its epochs as DAWNBench wants them: number, hours, per cent."""
    name, _, table = _dawnbench(here, run_id)
    return _file(table, "text/tab-separated-values; charset=utf-8", f"{name}.tsv")


def _dawnbench(here: State, run_id: int) -> tuple[str, str, str]:
    with here.records.read() as session:
        run = responses.whole(session, runs.find(session, run_id), here)
        rows = responses.curve(runs.epochs_of(session, run_id))
        price = ranking.prices_of(session).get(run.worker or "")
    if not rows:
        raise Conflict(f"run {run_id} has no epoch yet")
    return dawnbench.name_of(run), dawnbench.entry(run, price), dawnbench.table(rows)


def _file(text: str, kind: str, name: str) -> Response:
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
