"""Try the model of a run on an uploaded image, and download it in other formats."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.datastructures import UploadFile

from app.errors import Problem
from app.runs import responses, runs, schemas
from app.web.deps import Here, State
from app.web.templates import page
from app.workers import task_api

router = APIRouter(include_in_schema=False)


@router.get("/runs/{run_id}/try")
def redirect_to_run(run_id: int) -> RedirectResponse:
    """For a reload of the prediction page, whose image is not stored."""
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.get("/runs/{run_id}/exports/{kind}")
async def download_export(
    run_id: int, kind: Literal["keras", "onnx"], request: Request, here: Here
) -> StreamingResponse:
    """The same as in the API, with errors as pages."""
    return await task_api.export_run(run_id, kind, request, here)


@router.post("/runs/{run_id}/try")
async def predict_image(run_id: int, request: Request, here: Here) -> HTMLResponse:
    """A complete page; with JavaScript only `#tried` is taken from it."""
    run = await run_in_threadpool(_run, here, run_id)
    predicted, problem, status = None, "", 200
    async with request.form(max_files=1, max_fields=2) as form:
        upload = form.get("picture")
        content = await upload.read() if isinstance(upload, UploadFile) else b""
    try:
        predicted = await task_api.predict(here, run_id, content, task_api.is_gone(request, here.hub))
    except Problem as error:
        problem, status = "; ".join(sentence for _, sentence in error.mistakes) or error.detail, error.status
    context = {"run": run, "predicted": predicted, "problem": problem}
    return await run_in_threadpool(page, request, "runs/prediction.html", context, status)


def _run(here: State, run_id: int) -> schemas.RunDetails:
    with here.records.read() as session:
        return responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
