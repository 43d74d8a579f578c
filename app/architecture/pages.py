"""The architecture of a model: a page for a preset, a run or a posted form, and the same as JSON.

Computed from the recipe alone: no model is built.
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
from app.launch.form import RecipeForm, read_form
from app.launch.pages import FIRST_PRESET
from app.launch.schemas import RecipeRequest
from app.runs import responses, runs, schemas
from app.runs.recipes import resolve
from app.web.deps import Here
from app.web.templates import page
from trainer.data import datasets
from trainer.models.architectures import build_layers as layers_of
from trainer.models.layers import compute_totals
from trainer.presets import FAMILIES, PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knobs import list_errors

DEFAULT_CLASSES = 10  # for a data set whose files are not on this machine
KNOWN_CLASSES = {"cifar100": 100}  # for data sets whose name tells the number
MAX_CLASSES = 100_000  # of a folder; more are a mistake in the folder

router = APIRouter()


@router.get("/architecture", include_in_schema=False)
def show_architecture(
    request: Request,
    here: Here,
    preset: Annotated[str, Query(max_length=64)] = FIRST_PRESET,
    run: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """The model of a run, or else of a preset."""
    if run is not None:
        with here.records.read() as session:
            found = responses.run_response(session, runs.find(session, run), here.hub, here.leases)
        try:
            recipe = Recipe.model_validate(found.recipe)
        except ValidationError as error:  # a run of a version with other settings
            raise InvalidRecipe(list_errors(error)) from None
        started = found.attempts[-1].started if found.attempts else None
        trained = len(started["classes"]) if started else 0
        return _page(request, recipe, count_classes(recipe, here.settings.datasets_dir, trained), run=found)
    if preset not in PRESETS:
        raise NotFound(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    recipe = PRESETS[preset].recipe
    return _page(request, recipe, count_classes(recipe, here.settings.datasets_dir), preset=preset)


@router.post("/architecture", include_in_schema=False)
async def show_architecture_of_form(request: Request, here: Here) -> HTMLResponse:
    """The model of the posted form. Nothing is launched or stored."""
    form = await read_form(request)
    if not form.is_form:
        raise InvalidRequest([("body", "is not the form of a recipe")])
    return await asyncio.to_thread(_page_of_form, request, here.settings.datasets_dir, form)


@router.post("/api/v1/previews/architecture", tags=["previews"], responses={"4XX": PROBLEM})
def preview_architecture(body: RecipeRequest, here: Here) -> ArchitectureResponse:
    """Return the layers of a recipe's model: shapes, parameters, and FLOPs per image (2 per multiply-add)."""
    root = here.settings.datasets_dir
    recipe = resolve(body.preset, body.partial(), root, strict=True).recipe
    layers = layers_of(recipe.model, count_classes(recipe, root))
    return ArchitectureResponse(
        layers=[LayerResponse.model_validate(layer) for layer in layers],
        totals=ArchitectureTotals.model_validate(compute_totals(layers)),
    )


def _page_of_form(request: Request, datasets_dir: Path, form: RecipeForm) -> HTMLResponse:
    recipe = form.resolve(datasets_dir).recipe
    return _page(request, recipe, count_classes(recipe, datasets_dir))


def _page(
    request: Request, recipe: Recipe, classes: int, *, preset: str | None = None, run: schemas.RunDetails | None = None
) -> HTMLResponse:
    layers = layers_of(recipe.model, classes)
    context = {
        "a": drawing,
        "blocks": drawing.blocks(layers),
        "classes": classes,
        "drawing": drawing.draw_layers(layers),
        "families": FAMILIES,
        "layers": layers,
        "preset": preset,
        "presets": list(PRESETS.values()),
        "recipe": recipe,
        "run": run,
        "totals": compute_totals(layers),
    }
    return page(request, "architecture.html", context)


def count_classes(recipe: Recipe, root: Path, trained: int = 0, limit: int = MAX_CLASSES) -> int:
    """The number of classes of the recipe's data set, 1 to `limit`. `trained`: the run's own count, used unless 0:
    its folder may be gone."""
    name = recipe.dataset.name
    count = trained
    if not count:
        with contextlib.suppress(datasets.DatasetMissing):
            count = len(datasets.find_dataset(name, root).classes)
    return min(count or KNOWN_CLASSES.get(name, DEFAULT_CLASSES), limit)
