"""JSON of launching besides a single run: sweeps, presets, data sets, the recipe's schema."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header

from app.errors import InvalidRecipe
from app.json_shapes import PROBLEM
from app.launch import sweeps as sweep_runs
from app.launch.schemas import DatasetResponse, PresetResponse, SweepRequest, SweepResponse
from app.launch.sweeps import Axis
from app.records.models import Run
from app.runs import runs, schemas
from app.web.deps import Here
from trainer.data import datasets
from trainer.presets import PRESETS
from trainer.recipe import Recipe

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.post("/sweeps", status_code=201, tags=["runs"])
def launch_sweep(
    asked: SweepRequest,
    here: Here,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> SweepResponse:
    """Launch a recipe at several values of one or two knobs: all of its runs or none. They share the tag `sweep ID`.

    The same Idempotency-Key and body launch only once.
    """
    axes = [Axis(one.knob, one.values) for one in asked.over]
    try:
        found = sweep_runs.plan_sweep(
            asked.recipe, asked.preset, axes, asked.repeats, here.settings.datasets_dir, strict=True
        )
    except InvalidRecipe as problem:  # named as in a form
        raise InvalidRecipe([(re.sub(r"^sweep\.", "over.", path), words) for path, words in problem.mistakes]) from None
    points = [point for point, _ in found]
    if asked.dry_run:
        return SweepResponse(points=points, runs=[])
    body_hash = hashlib.sha256(f"sweep {asked.model_dump_json()}".encode()).hexdigest()
    with here.records.write() as session:

        def launch() -> list[Run]:
            return sweep_runs.launch(session, found, asked, here.now())

        made = runs.launch_once(session, idempotency_key, body_hash, launch, here.now())
        return SweepResponse(points=points, runs=[schemas.RunResponse.model_validate(run) for run in made])


@router.get("/presets", tags=["recipes"])
def list_presets() -> list[PresetResponse]:
    """The recipes that ship with Pitwall."""
    return [
        PresetResponse(
            name=preset.name,
            version=preset.version,
            title=preset.title,
            description=preset.description,
            recipe=preset.recipe.model_dump(mode="json"),
        )
        for preset in PRESETS.values()
    ]


@router.get("/datasets", tags=["recipes"])
def list_datasets(here: Here) -> list[DatasetResponse]:
    """Data sets that a recipe can name now, and whether they are on this machine."""
    return [DatasetResponse.model_validate(info) for info in datasets.describe(here.settings.datasets_dir)]


@router.get("/recipe-schema", tags=["recipes"])
def get_recipe_schema() -> dict[str, Any]:
    """JSON schema of a complete recipe: every knob with default, range, unit and help."""
    return Recipe.model_json_schema()
