"""REST API of comparisons: runs and groups side by side, and images that only one of two runs got right."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from pydantic import Field as Described

from app.compare import charts, comparison
from app.compare.query import Field, Groups, Runs, parse_names, parse_run_ids
from app.images import predictions
from app.json_shapes import PROBLEM
from app.metrics import accuracy
from app.runs import runs
from app.runs.recipes import MISSING
from app.web.deps import Here

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


class SideResponse(BaseModel):
    """A run, a group, or folded runs."""

    name: str
    run: int = Described(description="The run, or the newest included run of the group")
    group: str | None = Described(description="Recipe hash of a group or of folded runs; null for a run")
    n: int = Described(description="Runs included; 1 for a run")
    runs: list[int] = Described(description="The run, the included runs of the group, or all folded runs")
    accuracy: float | None = Described(description="Final accuracy; for a group the mean")
    sd: float | None
    interval: tuple[float, float] | None = Described(
        description="95 % confidence interval of the mean final accuracy; null for a run"
    )
    tta: str = Described(description="Test-time augmentation of the validation images: none, flip or six")
    plain: float | None = Described(description="Final accuracy without TTA; null: the recipe uses no TTA")
    best: float | None = Described(description="Best accuracy; for a group the highest")
    plain_best: float | None = Described(description="Best accuracy without TTA; null: the recipe uses no TTA")
    seconds: float | None = Described(description="Training time; for a group the mean")
    time_to_target: float | None = Described(description="For a group the median; a miss is longer than any time")
    steps: int | None = Described(description="Steps per epoch; null: not known yet")
    knobs: dict[str, Any] = Described(
        description="Settings that differ between the sides, without those this recipe lacks"
    )


class ComparisonResponse(BaseModel):
    sides: list[SideResponse]
    recipes: int = Described(description="Number of different recipes")
    runs: int = Described(description="Number of runs on all sides")
    differing: list[str] = Described(description="Settings that differ between the recipes")
    curves: dict[str, Any] = Described(
        description="Plotly traces; `x` is the epoch, `meta.elapsed` the training time in seconds"
    )


class DisagreementImage(BaseModel):
    number: int = Described(description="Index in the validation split")
    png: str = Described(description="Data URL")
    label: str = Described(description="True class")
    taken: list[str] = Described(description="Class predicted by the left run, and by the right run")


class DisagreementResponse(BaseModel):
    both: int = Described(description="Validation images that both runs classified correctly")
    neither: int
    only_left: int
    only_right: int
    pictures_left: list[DisagreementImage] = Described(
        description="The first images that only the left run classified correctly"
    )
    pictures_right: list[DisagreementImage] = Described(
        description="The first images that only the right run classified correctly"
    )


@router.get("/compare", tags=["board"])
def compare_runs(
    here: Here,
    run_names: Runs = [],  # noqa: B006
    groups: Groups = [],  # noqa: B006
    field: Field = "counted_accuracy",
    fold: Annotated[
        bool, Query(description="Make one side of runs that differ in their seed alone, on the same hardware and data")
    ] = False,
) -> Response:
    """Compare up to 100 runs and groups: results, settings that differ, curves."""
    with here.records.read() as session:
        found = comparison.compare(session, parse_run_ids(run_names), parse_names(groups), fold=fold)
        answer = ComparisonResponse.model_construct(
            sides=[_side(found, index) for index in range(len(found.sides))],
            recipes=found.recipes,
            runs=found.runs,
            differing=[path for path, _ in found.differing],
            curves=charts.curves_figure(found, field),
        )
    return Response(answer.model_dump_json(), media_type="application/json")  # validating every point takes longer


@router.get("/compare/pictures", tags=["board"])
def compare_pictures(
    here: Here, left: Annotated[int, Query(ge=1, lt=2**63)], right: Annotated[int, Query(ge=1, lt=2**63)]
) -> DisagreementResponse:
    """Return validation images that one run classified correctly and the other did not, after their last epochs."""
    with here.records.read() as session:
        one, other = runs.find(session, left), runs.find(session, right)
        found = predictions.find_disagreement(session, here.previews.gallery, one, other)
    images = [
        [DisagreementImage(number=one.number, png=one.png, label=one.label, taken=list(one.predicted)) for one in side]
        for side in found.pictures
    ]
    return DisagreementResponse(
        both=found.both,
        neither=found.neither,
        only_left=found.only[0],
        only_right=found.only[1],
        pictures_left=images[0],
        pictures_right=images[1],
    )


def _side(found: comparison.Comparison, index: int) -> SideResponse:
    side = found.sides[index]
    settings = {path: values[index] for path, values in found.differing if values[index] is not MISSING}
    return SideResponse(
        name=side.name,
        run=side.run.id,
        group=side.recipe_hash if side.is_group else None,
        n=side.n,
        runs=side.run_ids,
        accuracy=side.accuracy,
        sd=side.sd,
        interval=side.interval,
        tta=accuracy.tta_views(side.run.recipe),
        plain=side.without_tta,
        best=side.best,
        plain_best=side.best_without_tta,
        seconds=side.seconds,
        time_to_target=side.time_to_target,
        steps=side.steps,
        knobs=settings,
    )
