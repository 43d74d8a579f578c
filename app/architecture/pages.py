"""The architecture of a recipe's net: a page for a preset, a run or the form as it is filled in, and the same as JSON.

Must not know how a net is made (trainer.models) or drawn (architecture.py). Nothing is built: this is arithmetic.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from app.architecture import drawing
from app.architecture.schemas import ArchitectureResponse, ArchitectureTotals, LayerResponse
from app.errors import InvalidRecipe, InvalidRequest, NotFound
from app.json_shapes import PROBLEM
from app.launch.form import Posted, posted
from app.launch.pages import FIRST_PRESET
from app.launch.schemas import RecipeRequest
from app.runs import responses, runs, schemas
from app.runs.recipes import resolve
from app.web.deps import Here
from app.web.templates import page
from trainer.data import datasets
from trainer.models.architectures import layers as layers_of
from trainer.models.layers import totals
from trainer.presets import FAMILIES, PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knobs import list_errors

CLASSES = 10  # where only the files know, and they are not there
KNOWN_CLASSES = {"cifar100": 100}  # its names are in its files, its number is in its name
MAX_CLASSES = 100_000  # of a folder: more is a mistake in the folder

router = APIRouter()


@router.get("/architecture", include_in_schema=False)
def show_architecture(
    request: Request,
    here: Here,
    preset: Annotated[str, Query(max_length=64)] = FIRST_PRESET,
    run: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """The net of a run, or else of a preset."""
    if run is not None:
        with here.records.read() as session:
            found = responses.run_response(session, runs.find(session, run), here.hub, here.leases)
        try:
            recipe = Recipe.model_validate(found.recipe)
        except ValidationError as error:  # a run of a version that knew other knobs
            raise InvalidRecipe(list_errors(error)) from None
        started = found.attempts[-1].started if found.attempts else None
        counted = len(started["classes"]) if started else 0  # by the child; its folder may be gone
        return _page(request, recipe, count_classes(recipe, here.settings.datasets_dir, counted), run=found)
    if preset not in PRESETS:
        raise NotFound(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    recipe = PRESETS[preset].recipe
    return _page(request, recipe, count_classes(recipe, here.settings.datasets_dir), preset=preset)


@router.post("/architecture", include_in_schema=False)
async def show_architecture_of_form(request: Request, here: Here) -> HTMLResponse:
    """The net of the form as it is filled in. Launches and keeps nothing."""
    form = await posted(request)
    if not form.is_form:
        raise InvalidRequest([("body", "is not the form of a recipe")])
    return await asyncio.to_thread(_page_of_form, request, here.settings.datasets_dir, form)


@router.post("/api/v1/previews/architecture", tags=["previews"], responses={"4XX": PROBLEM})
def preview_architecture(asked: RecipeRequest, here: Here) -> ArchitectureResponse:
    """The layers of a recipe's net: shapes, parameters, and FLOPs for one picture (2 per multiply-add)."""
    root = here.settings.datasets_dir
    recipe = resolve(asked.preset, asked.partial(), root, strict=True).recipe
    layers = layers_of(recipe.model, count_classes(recipe, root))
    return ArchitectureResponse(
        layers=[LayerResponse.model_validate(layer) for layer in layers],
        totals=ArchitectureTotals.model_validate(totals(layers)),
    )


def _page_of_form(request: Request, datasets_dir: Path, form: Posted) -> HTMLResponse:
    recipe = form.resolved(datasets_dir).recipe
    return _page(request, recipe, count_classes(recipe, datasets_dir))


def _page(
    request: Request, recipe: Recipe, classes: int, *, preset: str | None = None, run: schemas.RunDetails | None = None
) -> HTMLResponse:
    layers = layers_of(recipe.model, classes)
    context = {
        "a": drawing,
        "blocks": drawing.blocks(layers),
        "classes": classes,
        "drawing": drawing.draw(layers),
        "families": FAMILIES,
        "layers": layers,
        "preset": preset,
        "presets": list(PRESETS.values()),
        "recipe": recipe,
        "run": run,
        "totals": totals(layers),
    }
    return page(request, "architecture.html", context)


def count_classes(recipe: Recipe, root: Path, counted: int = 0, limit: int = MAX_CLASSES) -> int:
    """How many classes the recipe's data set has, from 1 to `limit`; `counted` is believed where it is not 0."""
    name = recipe.dataset.name
    if not counted:
        with contextlib.suppress(datasets.DatasetMissing):
            counted = len(datasets.find(name, root).classes)
    return min(counted or KNOWN_CLASSES.get(name, CLASSES), limit)
