"""The form: from a preset or an earlier run to a launched run.

Must not know which knobs there are (forms.py), how they are checked (recipes.py) or previewed (preview_pages.py).
"""

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
from app.launch import form as form_posts
from app.launch import sweeps as sweep_runs
from app.launch.form import Posted, posted, pressed
from app.launch.preview_panel import panel
from app.launch.sweeps import Planned, parse_axes
from app.records.database import Records
from app.runs import runs, schemas
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here, State
from app.web.error_pages import mistakes_of
from app.web.templates import page
from trainer.presets import FAMILIES, PRESETS

FIRST_PRESET = "quickstart"

router = APIRouter(include_in_schema=False)


@router.get("/runs/new")
def new_run(
    request: Request,
    here: Here,
    preset: Annotated[str | None, Query(max_length=64)] = None,
    from_run: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
    fix: Annotated[str, Query(max_length=20_000)] = "",
) -> HTMLResponse:
    """The form, filled from a preset or from the run that is cloned; `fix` is a warning's partial recipe."""
    form = started_from(here.records, preset, from_run)
    if fix:
        form = pressed(replace(form, do=f"fix.{fix}"))
    return _page(request, here, form)


@router.post("/runs/new")
async def reshape_form(request: Request, here: Here) -> HTMLResponse:
    """A button inside the form: the same values, in another shape. Launches nothing."""
    form = await posted(request)
    return await asyncio.to_thread(_page, request, here, pressed(form), with_pictures=form.do == "preview")


@router.post("/runs")
async def launch_run(request: Request, here: Here) -> Response:
    """Launch; or the form again, with what is wrong beside each field and every value kept."""
    form = await posted(request)
    if not form.is_form:
        raise InvalidRequest([("body", "is not this page's form")])
    return await asyncio.to_thread(_launch, request, here, form)


def started_from(records: Records, preset: str | None, run_id: int | None) -> Posted:
    """A form as it begins: from an earlier run, else from a preset, else from the first one. Raises NotFound."""
    if run_id is None:
        return form_posts.of_preset(preset if preset in PRESETS else FIRST_PRESET)
    with records.read() as session:
        return form_posts.of_run(runs.find(session, run_id))


def _launch(request: Request, here: State, form: Posted) -> Response:
    labels, errors = form.labels, dict[str, str]()
    asked = None
    try:
        asked = schemas.LaunchRequest(
            name=labels.get("name", ""),
            tags=form_posts.tags_of(labels.get("tags", "")),
            notes=form_posts.lines_of(labels.get("notes", "")),
            repeats=_whole(labels.get("repeats") or "1"),
            priority=_whole(labels.get("priority", "0")),
        )
    except ValidationError as error:
        errors |= {f"label.{field.partition('.')[0]}": sentence for field, sentence in mistakes_of(error)}
    resolved, planned = None, list[Planned]()
    try:
        resolved = form.resolved(here.settings.datasets_dir)
        axes = parse_axes(form.sweep)
        planned = sweep_runs.plan_sweep(
            form.recipe, form.preset, axes, asked.repeats if asked else 1, here.settings.datasets_dir, strict=False
        )
    except InvalidRequest as problem:
        errors |= dict(problem.mistakes)
    if asked is None or resolved is None or errors:
        return _page(request, here, form, errors, 422)
    if planned and form.listed != sweep_runs.fingerprint_plan(planned):  # nobody shall be surprised by a hundred runs
        return _page(request, here, form, planned=planned)
    if planned:
        with here.records.write() as session:
            made = sweep_runs.launch(session, planned, asked, here.now(), parent_id=form.parent)
        return RedirectResponse(f"/runs?tag={quote(made[0].tags[-1])}", 303)
    with here.records.write() as session:
        given = runs.RunLabels(asked.name, asked.tags, asked.notes, asked.priority)
        made = runs.launch(session, resolved, given, here.now(), repeats=asked.repeats, parent_id=form.parent)
        address = f"/runs/{made[0].id}" if len(made) == 1 else f"/groups/{made[0].recipe_hash[:12]}"
    return RedirectResponse(address, 303)


def _page(
    request: Request,
    here: State,
    form: Posted,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
    *,
    with_pictures: bool = False,
    planned: Sequence[Planned] = (),
) -> HTMLResponse:
    context: dict[str, Any] = {
        "form": form_posts.shown(form, here.settings.datasets_dir, errors),
        "families": {FAMILIES[key]: _cards(key, form.preset) for key in FAMILIES},
        "chosen": PRESETS.get(form.preset or ""),
        "preview": panel(form, here, pictures=6 if with_pictures else 0),
        "plotly": PLOTLY,
        "planned": [point for point, _ in planned],
        "listed": sweep_runs.fingerprint_plan(planned) if planned else "",
    }
    return page(request, "launch/new_run.html", context, status)


def _cards(family: str, chosen: str | None) -> dict[str, Any]:
    """The presets of a family, each with its small sibling, and whether one of them is chosen."""
    large = [one for one in PRESETS.values() if one.family == family and one.small_of is None]
    small = {one.small_of: one for one in PRESETS.values() if one.small_of}
    names = {one.name for one in large} | {small[one.name].name for one in large if one.name in small}
    return {"presets": [(one, small.get(one.name)) for one in large], "is_open": chosen in names}


def _whole(text: str) -> Any:
    """A whole number, or the text itself for validation to refuse."""
    try:
        return int(text.strip() or "0")
    except ValueError:
        return text
