"""The pages that launch runs: the form, and what it posts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from app.errors import InvalidRequest
from app.launch import sweeps
from app.launch.form import (
    RecipeForm,
    apply_button,
    form_context,
    form_from_preset,
    form_from_run,
    normalize_newlines,
    read_form,
    split_tags,
)
from app.launch.preview_panel import build_panel
from app.launch.sweeps import PlannedRun, parse_axes
from app.records.database import Records
from app.runs import runs, schemas
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here, State
from app.web.error_handlers import list_mistakes
from app.web.templates import page
from trainer.presets import FAMILIES, PRESETS

FIRST_PRESET = "quickstart"

router = APIRouter(include_in_schema=False)


@router.get("/runs/new")
def show_form(
    request: Request,
    here: Here,
    preset: Annotated[str | None, Query(max_length=64)] = None,
    from_run: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
    fix: Annotated[str, Query(max_length=20_000)] = "",
) -> HTMLResponse:
    """The form for a preset or for a clone of a run; `fix`: the partial recipe of a warning."""
    form = initial_form(here.records, preset, from_run)
    if fix:
        form = apply_button(replace(form, button=f"fix.{fix}"))
    return _page(request, here, form)


@router.post("/runs/new")
async def reshape_form(request: Request, here: Here) -> HTMLResponse:
    """The form after one of its own buttons, with all values kept. Launches nothing."""
    form = await read_form(request)
    return await asyncio.to_thread(_page, request, here, apply_button(form), with_images=form.button == "preview")


@router.post("/runs")
async def launch_run(request: Request, here: Here) -> Response:
    """Launch, or show the form again with every value kept and an error beside each wrong field."""
    form = await read_form(request)
    if not form.is_form:
        raise InvalidRequest([("body", "is not this page's form")])
    return await asyncio.to_thread(_launch, request, here, form)


def initial_form(records: Records, preset: str | None, run_id: int | None) -> RecipeForm:
    """The form for a clone of the run, else for the preset, else for the first preset. Raises NotFound."""
    if run_id is None:
        return form_from_preset(preset if preset in PRESETS else FIRST_PRESET)
    with records.read() as session:
        return form_from_run(runs.find(session, run_id))


def _launch(request: Request, here: State, form: RecipeForm) -> Response:
    labels, errors = form.labels, dict[str, str]()
    launch = None
    try:
        launch = schemas.LaunchRequest(
            name=labels.get("name", ""),
            tags=split_tags(labels.get("tags", "")),
            notes=normalize_newlines(labels.get("notes", "")),
            repeats=_parse_whole(labels.get("repeats") or "1"),
            priority=_parse_whole(labels.get("priority", "0")),
        )
    except ValidationError as error:
        errors |= {f"label.{field.partition('.')[0]}": sentence for field, sentence in list_mistakes(error)}
    resolved, planned = None, list[PlannedRun]()
    try:
        resolved = form.resolve(here.settings.datasets_dir)
        axes = parse_axes(form.sweep)
        planned = sweeps.plan_sweep(
            form.recipe, form.preset, axes, launch.repeats if launch else 1, here.settings.datasets_dir, strict=False
        )
    except InvalidRequest as problem:
        errors |= dict(problem.mistakes)
    if launch is None or resolved is None or errors:
        return _page(request, here, form, errors, 422)
    if planned and form.listed != sweeps.fingerprint_plan(planned):  # list the runs before launching up to a hundred
        return _page(request, here, form, planned=planned)
    if planned:
        with here.records.write() as session:
            queued = sweeps.launch_sweep(session, planned, launch, here.now(), parent_id=form.parent)
        return RedirectResponse(f"/runs?tag={quote(queued[0].tags[-1])}", 303)
    with here.records.write() as session:
        run_labels = runs.RunLabels(launch.name, launch.tags, launch.notes, launch.priority)
        queued = runs.launch(session, resolved, run_labels, here.now(), repeats=launch.repeats, parent_id=form.parent)
        address = f"/runs/{queued[0].id}" if len(queued) == 1 else f"/groups/{queued[0].recipe_hash[:12]}"
    return RedirectResponse(address, 303)


def _page(
    request: Request,
    here: State,
    form: RecipeForm,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
    *,
    with_images: bool = False,
    planned: Sequence[PlannedRun] = (),
) -> HTMLResponse:
    context: dict[str, Any] = {
        "form": form_context(form, here.settings.datasets_dir, errors),
        "families": {FAMILIES[key]: _cards(key, form.preset) for key in FAMILIES},
        "chosen": PRESETS.get(form.preset or ""),
        "preview": build_panel(form, here, images=6 if with_images else 0),
        "plotly": PLOTLY,
        "planned": [point for point, _ in planned],
        "listed": sweeps.fingerprint_plan(planned) if planned else "",
    }
    return page(request, "launch/new_run.html", context, status)


def _cards(family: str, chosen: str | None) -> dict[str, Any]:
    """The presets of a family, each with its small variant, and whether one of them is chosen."""
    large = [one for one in PRESETS.values() if one.family == family and one.small_of is None]
    small = {one.small_of: one for one in PRESETS.values() if one.small_of}
    names = {one.name for one in large} | {small[one.name].name for one in large if one.name in small}
    return {"presets": [(one, small.get(one.name)) for one in large], "is_open": chosen in names}


def _parse_whole(text: str) -> Any:
    """A whole number, or the text itself for validation to reject."""
    try:
        return int(text.strip() or "0")
    except ValueError:
        return text
