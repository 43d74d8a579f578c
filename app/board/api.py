"""JSON of the board, of groups, and of what a worker costs. Must not know SQL or HTML."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from app.board import groups, ranking
from app.board import schemas as board_schemas
from app.board.schemas import MetricName
from app.errors import InvalidRequest
from app.json_shapes import PROBLEM
from app.runs import runs
from app.web.deps import Here
from app.workers.listing import WorkerResponse, list_known

Target = Annotated[float, Query(gt=0, lt=1, allow_inf_nan=False, description="Share of the validation pictures")]
Words = Annotated[str | None, Query(min_length=1, max_length=120)]
router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/board", tags=["board"])
def get_board(
    here: Here,
    dataset: Annotated[str | None, Query(max_length=100, description="Default: that of most runs")] = None,
    metric: MetricName = "time_to_target",
    target: Target = 0.94,
    hardware: Annotated[
        str | None, Query(min_length=1, max_length=120, description="Default: what most runs had; `all`: side by side")
    ] = None,
    fingerprint: Annotated[
        str | None, Query(min_length=1, max_length=80, description="Of the pictures; default: what most runs saw")
    ] = None,
    group_by: Annotated[Literal["recipe"], Query(description="A row is a recipe")] = "recipe",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> board_schemas.BoardResponse:
    """Recipes of one data set, the best first."""
    question = ranking.BoardQuery(dataset or None, metric, target, hardware, fingerprint, limit)
    with here.records.read() as session:
        found = ranking.ranked(session, question)
        if unknown := ranking.unknown(found):
            raise InvalidRequest([(field, f"no run of this data set has {value!r}") for field, value in unknown])
        return board_schemas.board_shown(found)


@router.get("/groups/{recipe_hash}", tags=["board"])
def get_group(
    recipe_hash: str,
    here: Here,
    hardware: Words = None,
    target: Annotated[float | None, Query(gt=0, lt=1, allow_inf_nan=False)] = None,
) -> board_schemas.GroupResponse:
    """What repeats of a recipe say. `recipe_hash`: the whole of it, or its first 8 letters or more."""
    with here.records.read() as session:
        return board_schemas.group_shown(groups.load_group(session, recipe_hash, hardware, target))


@router.patch("/workers/{name:path}", tags=["workers"])
def edit_worker(name: str, asked: board_schemas.WorkerEdited, here: Here) -> WorkerResponse:
    """Say what an hour of a worker costs. Boards count with it from then on, for earlier runs too."""
    with here.records.write() as session:
        runs.price(session, name, asked.price_per_hour)
        return next(one for one in list_known(session, here.leases) if one.name == name)
