"""JSON API: sweeps, presets, data sets, the schema of a recipe. A single run is launched by app/runs/api.py."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header

from app.errors import InvalidRecipe
from app.json_shapes import PROBLEM
from app.launch import sweeps
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
    body: SweepRequest,
    here: Here,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> SweepResponse:
    """Launch a recipe at several values of one or two settings: all runs or none. The runs share the tag `sweep ID`.

    Requests with the same Idempotency-Key and body launch once.
    """
    axes = [Axis(one.knob, one.values) for one in body.over]
    try:
        planned = sweeps.plan_sweep(
            body.recipe, body.preset, axes, body.repeats, here.settings.datasets_dir, strict=True
        )
    except InvalidRecipe as problem:  # its fields are named as in the form
        mistakes = [(re.sub(r"^sweep\.", "over.", path), sentence) for path, sentence in problem.mistakes]
        raise InvalidRecipe(mistakes) from None
    points = [point for point, _ in planned]
    if body.dry_run:
        return SweepResponse(points=points, runs=[])
    body_hash = hashlib.sha256(f"sweep {body.model_dump_json()}".encode()).hexdigest()
    with here.records.write() as session:

        def launch() -> list[Run]:
            return sweeps.launch_sweep(session, planned, body, here.now())

        queued = runs.launch_once(session, idempotency_key, body_hash, launch, here.now())
        return SweepResponse(points=points, runs=[schemas.RunResponse.model_validate(run) for run in queued])


@router.get("/presets", tags=["recipes"])
def list_presets() -> list[PresetResponse]:
    """List the recipes that ship with Pitwall."""
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
    """List the data sets that a recipe can name, and whether each is on this machine."""
    return [DatasetResponse.model_validate(info) for info in datasets.list_datasets(here.settings.datasets_dir)]


@router.get("/recipe-schema", tags=["recipes"])
def get_recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of a complete recipe: every setting with its default, range, unit and description."""
    return Recipe.model_json_schema()
