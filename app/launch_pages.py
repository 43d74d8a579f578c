"""The form: from a preset or an earlier run to a launched run; and logging in and out.

Must not know which knobs there are (forms.py) or how they are checked (recipes.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from app import forms, runs, schemas
from app.answers import mistakes_of
from app.problems import InvalidRequest
from app.recipes import resolve
from app.rendering import page
from app.security import local_path
from app.state import Here, State
from app.tokens import COOKIE, SESSION_S
from trainer import datasets
from trainer.presets import PRESETS

FIRST_PRESET = "quickstart"
WRONG_TOKEN_S = 0.5  # a wrong token waits: guessing is slow
LABELS = {"label.name": "name", "label.tags": "tags", "label.notes": "notes", "label.priority": "priority"}

router = APIRouter(include_in_schema=False)


@router.get("/runs/new")
def new_run(
    request: Request,
    here: Here,
    preset: Annotated[str | None, Query(max_length=64)] = None,
    from_run: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """The form, filled from a preset, or from the run that is cloned."""
    if from_run is not None:
        with here.records.read() as session:
            run = runs.find(session, from_run)
            labels = {"tags": ", ".join(run.tags), "name": f"{run.name} again"[:200], "priority": str(run.priority)}
            return _form(request, here, run.recipe, labels, preset=run.preset, parent=run.id)
    chosen = preset if preset in PRESETS else FIRST_PRESET
    return _form(request, here, PRESETS[chosen].recipe.model_dump(mode="json"), {}, preset=chosen)


@router.post("/runs/new")
async def reshape_form(request: Request, here: Here) -> HTMLResponse:
    """A button inside the form: the same values, in another shape. Launches nothing."""
    fields = await _fields(request)
    recipe = forms.reshaped(_recipe(fields), fields.get("do", ""))
    return _form(request, here, recipe, _labels(fields), preset=fields.get("preset"), parent=_parent(fields))


@router.post("/runs")
async def launch_run(request: Request, here: Here) -> Response:
    """Launch; or the form again, with what is wrong beside each field and every value kept."""
    fields = await _fields(request)
    if "epochs" not in fields:  # missing boxes are off, so that nothing at all would be a whole recipe
        raise InvalidRequest([("body", "is not this page's form")])
    return await asyncio.to_thread(_launch, request, here, fields)


@router.get("/login")
def show_login(request: Request, target: Annotated[str, Query(alias="next", max_length=2000)] = "/") -> HTMLResponse:
    return page(request, "login.html", {"next": local_path(target), "error": None})


@router.post("/login")
async def log_in(request: Request, here: Here) -> Response:
    fields = await _fields(request)
    if not here.tokens.is_login(fields.get("token", "").strip()):
        await asyncio.sleep(WRONG_TOKEN_S)
        context = {"next": local_path(fields.get("next", "/")), "error": "That is not the token."}
        return page(request, "login.html", context, status=403)
    answer = RedirectResponse(local_path(fields.get("next", "/")), 303)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, here.tokens.session(), SESSION_S, httponly=True, samesite="lax", secure=is_secure)
    return answer


@router.post("/logout")
def log_out() -> RedirectResponse:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _launch(request: Request, here: State, fields: Mapping[str, str]) -> Response:
    recipe, labels, preset, parent = _recipe(fields), _labels(fields), fields.get("preset"), _parent(fields)
    errors: dict[str, str] = {}
    asked = None
    try:
        tags = [tag.strip() for tag in labels.get("tags", "").split(",") if tag.strip()]
        asked = schemas.RunAsked(
            name=labels.get("name", ""),
            tags=tags,
            notes=labels.get("notes", "").replace("\r\n", "\n"),
            priority=_whole(labels.get("priority", "0")),
        )
    except ValidationError as error:
        errors |= {f"label.{field.partition('.')[0]}": sentence for field, sentence in mistakes_of(error)}
    resolved = None
    try:
        resolved = resolve(preset if preset in PRESETS else None, recipe, here.settings.datasets_dir, strict=False)
    except InvalidRequest as problem:
        errors |= dict(problem.mistakes)
    if asked is None or resolved is None or errors:
        return _form(request, here, recipe, labels, preset=preset, parent=parent, errors=errors, status=422)
    with here.records.write() as session:
        given = runs.Labels(asked.name, asked.tags, asked.notes, asked.priority)
        run = runs.launch(session, resolved, given, here.now(), parent_id=parent)[0]
    return RedirectResponse(f"/runs/{run.id}", 303)


def _form(
    request: Request,
    here: State,
    recipe: dict[str, Any],
    labels: Mapping[str, str],
    *,
    preset: str | None = None,
    parent: int | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    errors = errors or {}
    names = [info.name for info in datasets.describe(here.settings.datasets_dir)]
    form = {
        "preset": preset if preset in PRESETS else None,
        "parent": parent,
        "errors": errors,
        "labels": _label_fields(labels, errors),
        "sections": forms.sections(recipe, errors, names),
        "operations": forms.operations(),
    }
    return page(request, "runs/new.html", {"form": form, "presets": list(PRESETS.values())}, status)


def _label_fields(labels: Mapping[str, str], errors: Mapping[str, str]) -> list[forms.Knob]:
    described = {
        "name": ("Name", "Empty: made from preset, data set and seed.", ""),
        "tags": ("Tags", "Separated by commas.", ""),
        "notes": ("Notes", "For yourself, later.", ""),
        "priority": ("Priority", "Higher goes first; equal ones in the order of launching.", "0"),
    }
    return [
        forms.Knob(
            path=f"label.{key}",
            title=title,
            help=text,
            unit="",
            kind="whole" if key == "priority" else "text",
            value=labels.get(key, default),
            default=None,
            error=errors.get(f"label.{key}"),
        )
        for key, (title, text, default) in described.items()
    ]


async def _fields(request: Request) -> dict[str, str]:
    """The form's text fields; files and repeated names are not ours."""
    form = await request.form(max_fields=500)
    return {key: value for key, value in form.items() if isinstance(value, str)}


def _recipe(fields: Mapping[str, str]) -> dict[str, Any]:
    own = {"preset", "parent", "do"} | set(LABELS)
    return forms.from_text({key: value for key, value in fields.items() if key not in own})


def _labels(fields: Mapping[str, str]) -> dict[str, str]:
    return {short: fields[key] for key, short in LABELS.items() if key in fields}


def _parent(fields: Mapping[str, str]) -> int | None:
    text = fields.get("parent", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _whole(text: str) -> Any:
    """A whole number, or the text itself for validation to refuse."""
    try:
        return int(text.strip() or "0")
    except ValueError:
        return text
