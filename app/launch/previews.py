"""Previews as pages and as JSON: what a recipe will do, before it is launched. Nothing here is stored.

Must not know how anything is computed: previews.py, preview_panel.py, advice.py.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from app.errors import InvalidRecipe
from app.images.augmentation import Previewed, Seen, rates
from app.json_shapes import ProblemResponse
from app.launch import form as form_posts
from app.launch import warnings
from app.launch.form import Posted, posted, pressed
from app.launch.pages import started_from
from app.launch.preview_panel import panel
from app.launch.schemas import (
    AugmentationRequest,
    AugmentationResponse,
    CheckResponse,
    PreviewImage,
    RecipeRequest,
    ScheduleRequest,
    ScheduleResponse,
    StageResponse,
    WarningResponse,
)
from app.runs.recipes import Resolved, count_training_images, resolve
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here, State
from app.web.templates import page
from trainer.recipe.learning_rates import steps_per_epoch

BESIDE_A_FORM, ON_THEIR_OWN = 6, 16  # pictures
KNOBS = ("dataset", "schedule", "augment", "mixup", "")  # what the page of its own has knobs for; "": the rest

PROBLEM = {"model": ProblemResponse, "content": {"application/problem+json": {}}}
router = APIRouter()


@router.get("/previews", include_in_schema=False)
def show_previews(
    request: Request,
    here: Here,
    preset: Annotated[str | None, Query(max_length=64)] = None,
    from_run: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """The previews on a page of their own, of a preset or an earlier run."""
    return _page(request, here, started_from(here.records, preset, from_run))


@router.post("/previews", include_in_schema=False)
async def show_previews_of_form(request: Request, here: Here) -> HTMLResponse:
    """The same for a form as it stands, after one of its buttons if one was pressed."""
    return await asyncio.to_thread(_page, request, here, pressed(await posted(request)))


@router.post("/previews/panel", include_in_schema=False)
async def show_panel(
    request: Request, here: Here, count: Annotated[int, Query(ge=0, le=ON_THEIR_OWN)] = BESIDE_A_FORM
) -> HTMLResponse:
    """The panel alone, for a form that is being typed in."""
    form = await posted(request)
    shown = await asyncio.to_thread(panel, form, here, count)
    reshape = "/runs/new" if count == BESIDE_A_FORM else "/previews"
    return page(request, "launch/_preview_panel.html", {"preview": shown, "reshape": reshape})


@router.post(
    "/api/v1/previews/schedule",
    tags=["previews"],
    responses={"4XX": PROBLEM},
    response_model=ScheduleResponse,
)
def preview_schedule(asked: ScheduleRequest, here: Here) -> Response:
    """The learning rate of every step of a run."""
    recipe = _resolved(asked, here.settings.datasets_dir).recipe
    train_images = count_training_images(recipe, here.settings.datasets_dir)
    if train_images is None:
        raise InvalidRecipe([("dataset.name", f"{recipe.dataset.name} cannot be read, so its steps are not known")])
    answer = {
        "learning_rate": [float(rate) for rate in rates(recipe, train_images)],
        "steps_per_epoch": steps_per_epoch(recipe, train_images),
    }
    return Response(json.dumps(answer), media_type="application/json")  # checking 200,000 floats again takes longer


@router.post("/api/v1/previews/augmentation", tags=["previews"], responses={"4XX": PROBLEM})
def preview_augmentation(asked: AugmentationRequest, here: Here) -> AugmentationResponse:
    """The first pictures of epoch 1, before, during and after their changes."""
    shown = here.previews.augmentation(_resolved(asked, here.settings.datasets_dir).recipe, asked.count)
    return AugmentationResponse(pictures=[_picture(one) for one in shown.pictures])


@router.post("/api/v1/previews/check", tags=["previews"], responses={"4XX": PROBLEM})
def check_recipe(asked: RecipeRequest, here: Here) -> CheckResponse:
    """Where the recipe does something else than it seems to. Warnings never stop a launch."""
    resolved = _resolved(asked, here.settings.datasets_dir)
    with here.records.read() as session:
        found = warnings.of_recipe(session, resolved.recipe, resolved.preset, here.settings.datasets_dir)
    return CheckResponse(warnings=[WarningResponse.model_validate(one) for one in found])


def _resolved(asked: RecipeRequest, datasets_dir: Path) -> Resolved:
    return resolve(asked.preset, asked.partial(), datasets_dir, strict=True)


def _picture(one: Previewed) -> PreviewImage:
    return PreviewImage(
        number=one.number,
        label=one.label,
        before=one.stages[0].png,
        after=one.stages[-1].png,
        stages=[_stage(seen) for seen in one.stages],
        later=[_stage(seen) for seen in one.later],
    )


def _stage(seen: Seen) -> StageResponse:
    return StageResponse(name=seen.name, position=seen.position, png=seen.png)


def _page(request: Request, here: State, form: Posted) -> HTMLResponse:
    context: dict[str, Any] = {
        "form": form_posts.shown(form, here.settings.datasets_dir),
        "knobs": KNOBS,
        "preview": panel(form, here, ON_THEIR_OWN),
        "plotly": PLOTLY,
    }
    return page(request, "launch/previews.html", context)
