"""Previews of a recipe before launch, as pages and as JSON. Nothing is stored."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from app.errors import InvalidRecipe
from app.images.augmentation import ImagePreview, StageImage, compute_rates
from app.json_shapes import PROBLEM
from app.launch import warnings
from app.launch.form import RecipeForm, apply_button, form_context, read_form
from app.launch.pages import initial_form
from app.launch.preview_panel import build_panel
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

PANEL_IMAGES, PAGE_IMAGES = 6, 16
SECTIONS = ("dataset", "schedule", "augment", "mixup", "")  # shown open on the page of previews; "": training

router = APIRouter()


@router.get("/previews", include_in_schema=False)
def show_previews(
    request: Request,
    here: Here,
    preset: Annotated[str | None, Query(max_length=64)] = None,
    from_run: Annotated[int | None, Query(alias="from", ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """The page of previews, for a preset or an earlier run."""
    return _page(request, here, initial_form(here.records, preset, from_run))


@router.post("/previews", include_in_schema=False)
async def show_previews_of_form(request: Request, here: Here) -> HTMLResponse:
    """The page of previews for the posted form, after the button that was pressed."""
    return await asyncio.to_thread(_page, request, here, apply_button(await read_form(request)))


@router.post("/previews/panel", include_in_schema=False)
async def show_panel(
    request: Request, here: Here, count: Annotated[int, Query(ge=0, le=PAGE_IMAGES)] = PANEL_IMAGES
) -> HTMLResponse:
    """The panel alone, while somebody types in the form."""
    form = await read_form(request)
    preview = await asyncio.to_thread(build_panel, form, here, count)
    reshape = "/runs/new" if count == PANEL_IMAGES else "/previews"
    return page(request, "launch/_preview_panel.html", {"preview": preview, "reshape": reshape})


@router.post(
    "/api/v1/previews/schedule",
    tags=["previews"],
    responses={"4XX": PROBLEM},
    response_model=ScheduleResponse,
)
def preview_schedule(body: ScheduleRequest, here: Here) -> Response:
    """Return the learning rate of every step of a run."""
    recipe = _resolve(body, here.settings.datasets_dir).recipe
    train_images = count_training_images(recipe, here.settings.datasets_dir)
    if train_images is None:
        raise InvalidRecipe([("dataset.name", f"{recipe.dataset.name} cannot be read, so its steps are not known")])
    content = {
        "learning_rate": [float(rate) for rate in compute_rates(recipe, train_images)],
        "steps_per_epoch": steps_per_epoch(recipe, train_images),
    }
    return Response(
        json.dumps(content), media_type="application/json"
    )  # validating 200,000 floats again would take longer


@router.post("/api/v1/previews/augmentation", tags=["previews"], responses={"4XX": PROBLEM})
def preview_augmentation(body: AugmentationRequest, here: Here) -> AugmentationResponse:
    """Return the first images of epoch 1: as stored, after each operation, and as trained on."""
    preview = here.previews.augmentation(_resolve(body, here.settings.datasets_dir).recipe, body.count)
    return AugmentationResponse(pictures=[_image_response(one) for one in preview.images])


@router.post("/api/v1/previews/check", tags=["previews"], responses={"4XX": PROBLEM})
def check_recipe(body: RecipeRequest, here: Here) -> CheckResponse:
    """Warn about settings of a recipe that have unexpected effects. Warnings never prevent a launch."""
    resolved = _resolve(body, here.settings.datasets_dir)
    with here.records.read() as session:
        found = warnings.recipe_warnings(session, resolved.recipe, resolved.preset, here.settings.datasets_dir)
    return CheckResponse(warnings=[WarningResponse.model_validate(one) for one in found])


def _resolve(body: RecipeRequest, datasets_dir: Path) -> Resolved:
    return resolve(body.preset, body.partial(), datasets_dir, strict=True)


def _image_response(one: ImagePreview) -> PreviewImage:
    return PreviewImage(
        number=one.number,
        label=one.label,
        before=one.stages[0].png,
        after=one.stages[-1].png,
        stages=[_stage_response(stage) for stage in one.stages],
        later=[_stage_response(stage) for stage in one.later],
    )


def _stage_response(stage: StageImage) -> StageResponse:
    return StageResponse(name=stage.name, position=stage.position, png=stage.png)


def _page(request: Request, here: State, form: RecipeForm) -> HTMLResponse:
    context: dict[str, Any] = {
        "form": form_context(form, here.settings.datasets_dir),
        "open_sections": SECTIONS,
        "preview": build_panel(form, here, PAGE_IMAGES),
        "plotly": PLOTLY,
    }
    return page(request, "launch/previews.html", context)
