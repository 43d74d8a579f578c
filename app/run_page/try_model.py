"""HTML: try a run's net on a picture of one's own. Must not know how pictures are decoded or nets are run."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.datastructures import UploadFile

from app.errors import Problem
from app.runs import runs, schemas
from app.web.deps import Here, State
from app.web.templates import page
from app.workers import task_api

router = APIRouter(include_in_schema=False)


@router.get("/runs/{run_id}/try")
def leave_try(run_id: int) -> RedirectResponse:
    """A reload of the answer's page: the picture is gone, the run is there."""
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.get("/runs/{run_id}/exports/{kind}")
async def download_export(
    run_id: int, kind: Literal["keras", "onnx"], request: Request, here: Here
) -> StreamingResponse:
    """The same as the API's, whose refusals are pages here."""
    return await task_api.export_run(run_id, kind, request, here)


@router.post("/runs/{run_id}/try")
async def try_picture(run_id: int, request: Request, here: Here) -> HTMLResponse:
    """The page of the answer; a script takes only the answer out of it."""
    run = await run_in_threadpool(_run, here, run_id)
    predicted, problem, status = None, "", 200
    async with request.form(max_files=1, max_fields=2) as form:
        sent = form.get("picture")
        content = await sent.read() if isinstance(sent, UploadFile) else b""
    try:
        predicted = await task_api.look(here, run_id, content, task_api.is_gone(request, here))
    except Problem as found:
        problem, status = "; ".join(sentence for _, sentence in found.mistakes) or found.detail, found.status
    context = {"run": run, "predicted": predicted, "problem": problem}
    return await run_in_threadpool(page, request, "runs/tried.html", context, status)


def _run(here: State, run_id: int) -> schemas.RunResponse:
    with here.records.read() as session:
        return schemas.RunResponse.model_validate(runs.find(session, run_id))
