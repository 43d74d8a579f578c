"""The actions of a run's page: forms that POST and are redirected back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from app.errors import InvalidRequest
from app.launch import form
from app.records import files
from app.records.database import Records
from app.records.models import Run
from app.runs import lifecycle, runs
from app.runs.schemas import EditRequest
from app.web.deps import Here
from app.workers import artifacts
from trainer.recipe.knobs import list_errors

router = APIRouter(include_in_schema=False)


@router.post("/runs/{run_id}/cancel")
def press_cancel(run_id: int, here: Here) -> RedirectResponse:
    return _apply(here.records, here.now(), run_id, lifecycle.cancel)


@router.post("/runs/{run_id}/pause")
def press_pause(run_id: int, here: Here) -> RedirectResponse:
    return _apply(here.records, here.now(), run_id, lifecycle.pause)


@router.post("/runs/{run_id}/resume")
def press_resume(run_id: int, here: Here) -> RedirectResponse:
    return _apply(here.records, here.now(), run_id, lifecycle.resume)


@router.post("/runs/{run_id}/retry/{source}")
def press_retry(run_id: int, source: Literal["checkpoint", "scratch"], here: Here) -> RedirectResponse:
    response = _apply(here.records, here.now(), run_id, lifecycle.retry, source)
    if source == "scratch":
        files.remove_artifacts(here.settings.data_dir, run_id)
    return response


@router.post("/runs/{run_id}/move")
def press_move(run_id: int, here: Here, before: Annotated[str, Form(pattern=r"^\d{0,18}$")] = "") -> RedirectResponse:
    """Before another queued run, or to the end if `before` is empty. Leads home, where the queue is."""
    with here.records.write() as session:
        lifecycle.move(session, run_id, int(before) if before else None, here.now())
    return RedirectResponse("/", 303)


@router.post("/runs/{run_id}/edit")
def press_edit(
    run_id: int,
    here: Here,
    name: Annotated[str, Form()] = "",
    tags: Annotated[str, Form()] = "",
    notes: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """`tags` are separated by commas."""
    try:
        edited = EditRequest(name=name, tags=form.split_tags(tags), notes=form.normalize_newlines(notes))
    except ValidationError as error:
        raise InvalidRequest(list_errors(error)) from None
    with here.records.write() as session:
        runs.edit(session, run_id, edited.model_dump(exclude_unset=True), here.now())
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/discard")
def press_discard(run_id: int, here: Here) -> RedirectResponse:
    """Delete the files of an ended run; its curve and log stay."""
    with here.records.read() as session:
        names = [one.name for one in runs.list_artifacts(session, run_id)]
    artifacts.discard(here.records, here.settings.data_dir, run_id, names)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/delete")
def press_delete(run_id: int, here: Here) -> RedirectResponse:
    with here.records.write() as session:
        runs.remove(session, run_id)
    files.remove_all_of(here.settings.data_dir, run_id)
    return RedirectResponse("/runs", 303)


def _apply(
    records: Records, now: datetime, run_id: int, action: Callable[..., Run], *arguments: Any
) -> RedirectResponse:
    with records.write() as session:
        action(session, run_id, *arguments, now)
    return RedirectResponse(f"/runs/{run_id}", 303)
