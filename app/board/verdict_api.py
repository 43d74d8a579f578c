"""REST API of verdicts: judge two recipes, repeat them until the verdict is decided, pin a baseline."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, Field
from sqlalchemy.orm import Session

from app.board import baselines, settles
from app.board.schemas import MetricName
from app.board.verdicts import MAX_MAX_SEEDS, MIN_MAX_SEEDS, Outcome, Question, answer, to_json
from app.errors import NotFound
from app.json_shapes import PROBLEM, RequestModel, ResponseModel
from app.metrics.verdicts import MAX_SEEDS
from app.records.models import Settle
from app.web.deps import Here, State

MAX_FAMILY = 100_000  # comparisons

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})

RecipeHash = Annotated[
    str, Field(min_length=1, max_length=64, description="Hash of a recipe, or at least its first 8 characters")
]


class PairRequest(RequestModel):
    """Two recipes of one data set."""

    baseline: RecipeHash
    candidate: RecipeHash
    metric: MetricName = Field(description="One of the board's")
    target: float | None = Field(
        None, gt=0, lt=1, allow_inf_nan=False, description="Validation accuracy to reach; default: the baseline's own"
    )
    dataset: str | None = Field(
        None, max_length=80, description="Refuse recipes of another data set; default: whichever both have"
    )
    margin: float | None = Field(
        None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="Equivalent if the difference is certainly within ± this, in the unit of `difference`; "
        "default: nothing is called equivalent",
    )
    hardware: str | None = Field(
        None, min_length=1, max_length=120, description="Compare runs on it; default: that on which both have most runs"
    )
    fingerprint: str | None = Field(
        None, min_length=1, max_length=80, description="Version of the data; default: that on which both have most runs"
    )


def _check_family(value: Any) -> Any:
    """One sentence for a wrong value, in place of one for each type that it might have been."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_FAMILY
    if not is_number and value not in ("pair", "board"):
        raise ValueError(f"must be pair, board, or a number of comparisons from 1 to {MAX_FAMILY:,}")
    return value


class VerdictRequest(PairRequest):
    """With the family that it belongs to."""

    family: Annotated[int | Literal["pair", "board"], BeforeValidator(_check_family)] = Field(
        "pair",
        description="Comparisons that are judged together, so that at most 5 % of families show any false difference: "
        "their number, `pair` for this one alone (chosen before looking), or `board` for all pairs of the board's rows",
    )


class SettleRequest(VerdictRequest):
    """With the most seeds that it may take."""

    max_seeds: int = Field(
        MAX_SEEDS, ge=MIN_MAX_SEEDS, le=MAX_MAX_SEEDS, description="Stop as undecided when both recipes have as many"
    )


class VerdictResponse(ResponseModel):
    """What may be said of the candidate beside the baseline, however often one looked before."""

    verdict: Outcome = Field(description="Of the candidate; `not_comparable`: `sentence` has the reason")
    sentence: str = Field(description="The verdict in words")
    baseline: str = Field(description="Recipe hash")
    candidate: str = Field(description="Recipe hash")
    metric: str = Field(description="What they are compared by")
    target: float = Field(description="Validation accuracy to reach, as a share")
    comparisons: int = Field(description="Comparisons that were judged together")
    difference: float | None = Field(
        description="Candidate minus baseline: of the means for accuracies (a share) and epochs, else relative (0.1: "
        "10 % more). At stopping it tends to be too large. null: not to be had, because of a miss or for want of runs"
    )
    interval: list[float] | None = Field(description="95 % interval of the difference, of this look alone")
    n: list[int] = Field(description="Seeds of baseline and candidate")
    looks_left: int | None = Field(description="Runs until both have the most seeds allowed; null: not comparable")
    seeds_needed: int | None = Field(
        description="More seeds of the recipe that has fewer, the other one catching up, until it is probably decided; "
        "0: it is; null: unknown, or more than allowed"
    )
    seconds_needed: float | None = Field(description="Training time of these seeds, of both recipes")
    seconds_per_run: list[float] = Field(
        description="Mean training time of a run of baseline and candidate; 0: no runs"
    )
    hardware: str | None = Field(description="That both were compared on; null: not comparable, or no runs yet")
    fingerprint: str | None = Field(description="Version of the data that both were compared on")


class SettleResponse(VerdictResponse):
    """Two recipes that are repeated in turn. The verdict is the latest."""

    settle: int = Field(description="Its id")
    status: Literal["running", "decided", "undecided", "cancelled", "failed"] = Field(
        description="`undecided`: both recipes have `max_seeds` seeds"
    )
    reason: str | None = Field(description="Why it failed, or was cancelled without a request")
    dataset: str = Field(description="Of both recipes")
    margin: float | None = Field(description="As requested")
    max_seeds: int = Field(description="Of each recipe")
    runs: list[int] = Field(description="Runs that it queued, oldest first")
    in_progress: list[int] = Field(description="Those that have not ended")
    waits_for: str | None = Field(description="Why none of its runs can start now, in a sentence")
    seconds_left: float | None = Field(description="Estimated time until it stops; null: unknown, or it has ended")
    created_at: datetime = Field(description="When it began, UTC")
    ended_at: datetime | None = Field(description="When it stopped, UTC; null: it is running")


class BaselineRequest(RequestModel):
    recipe_hash: RecipeHash


class BaselineResponse(ResponseModel):
    """The recipe that the data set's other recipes are compared with. Everybody sees the same one."""

    dataset: str = Field(description="Its name, such as `digits` or `folder:flowers`")
    recipe_hash: str = Field(description="Of the pinned recipe")
    pinned_at: datetime = Field(description="UTC")


@router.post("/verdicts", tags=["verdicts"])
def judge_recipes(body: VerdictRequest, here: Here) -> VerdictResponse:
    """Compare two recipes by the runs that they have. Nothing is queued. You may ask after each run: over all looks
    together, at most 5 % of families of identical recipes ever show a difference.
    """
    with here.records.read() as session:
        return VerdictResponse(**to_json(answer(session, Question(**body.model_dump()))))


@router.post("/settles", status_code=201, tags=["verdicts"])
def start_settle(body: SettleRequest, response: Response, here: Here) -> SettleResponse:
    """Repeat two recipes in turn, with new seeds, until the verdict is decided or both have `max_seeds` seeds.

    409: their runs cannot run here now, or a settle of the same pair and metric is running.
    """
    with here.records.write() as session:
        settle = settles.start(session, Question(**body.model_dump()), here)
        response.headers["Location"] = f"/api/v1/settles/{settle.id}"
        return to_settle_response(session, settle, here)


@router.get("/settles", tags=["verdicts"])
def list_settles(
    here: Here,
    status: Annotated[
        Literal["running", "decided", "undecided", "cancelled", "failed"] | None, Query(description="Default: all")
    ] = None,
    dataset: Annotated[str | None, Query(max_length=80, description="Default: all")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[SettleResponse]:
    """List settles, newest first."""
    with here.records.read() as session:
        found = settles.load_recent(session, dataset=dataset, status=status, limit=limit)
        return [to_settle_response(session, settle, here) for settle in found]


@router.get("/settles/{settle_id}", tags=["verdicts"])
def get_settle(settle_id: int, here: Here) -> SettleResponse:
    """Return a settle with its latest verdict."""
    with here.records.read() as session:
        return to_settle_response(session, settles.find(session, settle_id), here)


@router.post("/settles/{settle_id}/cancel", tags=["verdicts"])
def cancel_settle(settle_id: int, here: Here) -> SettleResponse:
    """Stop repeating. Its queued runs are cancelled; a running one may finish. 409: it has ended."""
    with here.records.write() as session:
        return to_settle_response(session, settles.cancel(session, settle_id, here), here)


@router.get("/datasets/{name:path}/baseline", tags=["verdicts"])
def get_baseline(name: str, here: Here) -> BaselineResponse:
    """Return the pinned baseline of a data set, such as `digits` or `folder:flowers`. 404: none is pinned."""
    with here.records.read() as session:
        if (found := baselines.load_baseline(session, name)) is None:
            raise NotFound(f"no baseline is pinned for the data set {name[:80]!r}")
        return BaselineResponse.model_validate(found)


@router.put("/datasets/{name:path}/baseline", tags=["verdicts"])
def pin_baseline(name: str, body: BaselineRequest, here: Here) -> BaselineResponse:
    """Pin a recipe as the baseline of its data set, in place of the one before."""
    with here.records.write() as session:
        pinned = baselines.pin_baseline(session, name, body.recipe_hash, here.now())
        return BaselineResponse.model_validate(pinned)


@router.delete("/datasets/{name:path}/baseline", status_code=204, tags=["verdicts"])
def unpin_baseline(name: str, here: Here) -> None:
    """Unpin the baseline of a data set. Nothing happens if none is pinned."""
    with here.records.write() as session:
        baselines.unpin_baseline(session, name)


def to_settle_response(session: Session, settle: Settle, here: State) -> SettleResponse:
    progress = settles.describe_progress(session, settle, here.leases)
    verdict: dict[str, Any] = settle.verdict or {}
    return SettleResponse(
        **verdict,
        settle=settle.id,
        status=settle.status,
        reason=settle.reason,
        dataset=settle.dataset,
        margin=settle.margin,
        max_seeds=settle.max_seeds,
        runs=[run.id for run in progress.runs],
        in_progress=[run.id for run in progress.in_progress],
        waits_for=progress.waits_for,
        seconds_left=progress.seconds_left,
        created_at=settle.created_at,
        ended_at=settle.ended_at,
    )
