"""REST API: the board, groups, and the price of a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from app.board import groups, ranking, schemas
from app.board.schemas import MetricName
from app.errors import InvalidRequest
from app.json_shapes import PROBLEM
from app.web.deps import Here
from app.workers import prices
from app.workers.listing import WorkerResponse, list_known

Target = Annotated[
    float | None,
    Query(
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Validation accuracy to reach, as a share. Default: the target that most runs have",
    ),
]
Tag = Annotated[str | None, Query(max_length=40, description="Only runs with this tag")]
Days = Annotated[
    float | None, Query(gt=0, le=36500, allow_inf_nan=False, description="Only runs that ended in these last days")
]
router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/board", tags=["board"])
def get_board(
    here: Here,
    dataset: Annotated[
        str | None, Query(max_length=100, description="Default: the data set with the most succeeded runs")
    ] = None,
    metric: MetricName = "time_to_target",
    target: Target = None,
    hardware: Annotated[
        str | None,
        Query(min_length=1, max_length=120, description="Default: the kind that most runs used; `all`: every kind"),
    ] = None,
    fingerprint: Annotated[
        str | None,
        Query(min_length=1, max_length=80, description="Version of the data; default: the one that most runs used"),
    ] = None,
    group_by: Annotated[Literal["recipe"], Query(description="Each row is a recipe")] = "recipe",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    tag: Tag = None,
    days: Days = None,
) -> schemas.BoardResponse:
    """Rank the recipes of one data set, best first. If no row has the metric, they are ranked by final accuracy."""
    since = here.now() - timedelta(days=days) if days else None
    query = ranking.BoardQuery(dataset or None, metric, target, hardware, fingerprint, limit, tag or None, since)
    with here.records.read() as session:
        board = ranking.rank_recipes(session, query)
        if unknown := ranking.find_unknown_filters(board):
            raise InvalidRequest([(field, f"no run of this data set has {value!r}") for field, value in unknown])
        return schemas.to_board_response(board)


@router.get("/groups/{recipe_hash}", tags=["board"])
def get_group(
    recipe_hash: str,
    here: Here,
    hardware: Annotated[
        str | None, Query(min_length=1, max_length=120, description="Default: the kind that most runs used")
    ] = None,
    target: Annotated[
        float | None, Query(gt=0, lt=1, allow_inf_nan=False, description="Default: the recipe's own target")
    ] = None,
) -> schemas.GroupResponse:
    """Return statistics over the runs of one recipe. `recipe_hash`: the hash, or at least its first 8 characters."""
    with here.records.read() as session:
        return schemas.to_group_response(groups.load_group(session, recipe_hash, hardware, target))


@router.patch("/workers/{name:path}", tags=["workers"])
def edit_worker(name: str, edit: schemas.WorkerEdited, here: Here) -> WorkerResponse:
    """Set the price of a worker's hour. All costs change at once, including those of earlier runs."""
    with here.records.write() as session:
        prices.set_price(session, name, edit.price_per_hour)
        return next(worker for worker in list_known(session, here.leases) if worker.name == name)
