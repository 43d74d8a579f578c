"""JSON of comparisons: runs and groups beside each other, and pictures that only one run got right.

Must not know SQL or HTML.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from pydantic import Field as Described

from app.compare import charts, comparison
from app.compare.query import Field, Groups, Runs, numbers, words
from app.images import predictions as pictures
from app.json_shapes import PROBLEM
from app.metrics import accuracy
from app.runs import runs
from app.runs.recipes import MISSING
from app.web.deps import Here

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


class SideResponse(BaseModel):
    """A run, or a group."""

    name: str
    run: int = Described(description="The run, or the newest of the group")
    group: str | None = Described(description="Of a group: its recipe's hash")
    n: int
    accuracy: float | None = Described(description="At the end; of a group the mean")
    sd: float | None
    tta: str = Described(description="By which views of a validation picture accuracies count: none, flip, six")
    plain: float | None = Described(description="Without TTA; null: the recipe has none, the other is plain")
    best: float | None
    plain_best: float | None
    seconds: float | None = Described(description="Training clock; of a group the mean")
    time_to_target: float | None = Described(description="Of a group the median, misses counted")
    steps: int | None = Described(description="Of an epoch")
    knobs: dict[str, Any] = Described(description="Those that differ; one that this recipe has not is left out")


class ComparisonResponse(BaseModel):
    sides: list[SideResponse]
    differing: list[str] = Described(description="Knobs that are not the same in all recipes")
    curves: dict[str, Any] = Described(description="Plotly traces, by epoch; `meta.elapsed`: by training seconds")


class DisagreementImage(BaseModel):
    number: int
    png: str = Described(description="A data URL")
    label: str
    taken: list[str] = Described(description="For what, by the left run and by the right one")


class DisagreementResponse(BaseModel):
    both: int = Described(description="Validation pictures that both got right")
    neither: int
    only_left: int
    only_right: int
    pictures_left: list[DisagreementImage] = Described(description="The first that only the left run got right")
    pictures_right: list[DisagreementImage]


@router.get("/compare", tags=["board"])
def compare_runs(
    here: Here,
    asked: Runs = [],  # noqa: B006
    groups: Groups = [],  # noqa: B006
    field: Field = "counted_accuracy",
) -> Response:
    """Up to 100 runs and groups beside each other: results, what differs in their recipes, curves."""
    with here.records.read() as session:
        found = comparison.compare(session, numbers(asked), words(groups))
        answer = ComparisonResponse.model_construct(
            sides=[_side(found, at) for at in range(len(found.sides))],
            differing=[path for path, _ in found.differing],
            curves=charts.curves(found, field),
        )
    return Response(answer.model_dump_json(), media_type="application/json")  # checking every point takes longer


@router.get("/compare/pictures", tags=["board"])
def compare_pictures(
    here: Here, left: Annotated[int, Query(ge=1, lt=2**63)], right: Annotated[int, Query(ge=1, lt=2**63)]
) -> DisagreementResponse:
    """Which validation pictures one run got right and the other wrong, at the end of their last epochs."""
    with here.records.read() as session:
        one, other = runs.find(session, left), runs.find(session, right)
        found = pictures.disagreement(session, here.previews.gallery, one, other)
    shown_of = [
        [DisagreementImage(**vars(one) | {"taken": list(one.taken)}) for one in some] for some in found.pictures
    ]
    return DisagreementResponse(
        both=found.both,
        neither=found.neither,
        only_left=found.only[0],
        only_right=found.only[1],
        pictures_left=shown_of[0],
        pictures_right=shown_of[1],
    )


def _side(found: comparison.Comparison, at: int) -> SideResponse:
    side = found.sides[at]
    knobs = {path: values[at] for path, values in found.differing if values[at] is not MISSING}
    return SideResponse(
        name=side.name,
        run=side.run.id,
        group=side.recipe_hash if side.is_group else None,
        n=side.n,
        accuracy=side.accuracy,
        sd=side.sd,
        tta=accuracy.tta_views(side.run.recipe),
        plain=side.plain,
        best=side.best,
        plain_best=side.plain_best,
        seconds=side.seconds,
        time_to_target=side.time_to_target,
        steps=side.steps,
        knobs=knobs,
    )
