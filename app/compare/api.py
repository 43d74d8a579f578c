"""REST API of comparisons: runs and groups side by side, and two of them image by image."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from pydantic import Field as Described
from sqlalchemy.orm import Session

from app.board.groups import load_group
from app.compare import charts, comparison
from app.compare.image_by_image import ImageByImage, compare_image_by_image
from app.compare.query import Field, Groups, Runs, parse_names, parse_run_ids
from app.errors import InvalidRequest
from app.json_shapes import PROBLEM
from app.metrics import accuracy
from app.runs.recipes import MISSING
from app.web.deps import Here

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})
RunIds = Annotated[str, Query(max_length=2000, description="A run's number, or those of several of one recipe: `1,2`")]
GroupName = Annotated[str, Query(max_length=64, description="Recipe hash, or at least its first 8 characters")]


class SideResponse(BaseModel):
    """A run, a group, or folded runs."""

    name: str
    run: int = Described(description="The run, or the newest included run of the group")
    group: str | None = Described(description="Recipe hash of a group or of folded runs; null for a run")
    n: int = Described(description="Runs included; 1 for a run")
    runs: list[int] = Described(description="The run, the included runs of the group, or all folded runs")
    accuracy: float | None = Described(description="Accuracy of the last epoch; for a group the mean")
    last_epoch: int | None = Described(description="Epoch of `accuracy`; null for a group")
    sd: float | None
    interval: tuple[float, float] | None = Described(
        description="95 % confidence interval of the mean final accuracy; null for a run"
    )
    tta: str = Described(description="Test-time augmentation of the validation images: none, flip or six")
    plain: float | None = Described(description="`accuracy` without TTA; null: the recipe uses no TTA")
    best: float | None = Described(description="Accuracy of the best epoch; for a group the highest")
    best_epoch: int | None = Described(description="Epoch of `best`; null for a group")
    plain_best: float | None = Described(description="`best` without TTA; null: the recipe uses no TTA")
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
    taken: list[str] = Described(
        description="Class predicted by the left run, and by the right run; of several runs the most frequent"
    )
    correct: list[int] = Described(description="Number of runs on the left that predicted `label`, and on the right")


class PairedResponse(BaseModel):
    """Shares; differences are left minus right."""

    images: int
    runs: list[list[int]] = Described(description="Runs with predictions on the left, and on the right")
    accuracy: list[float] = Described(description="By these predictions; of several runs the mean")
    difference: float
    on_other_images: list[float] = Described(
        description="95 % confidence interval of the difference of these models on other images of the same kind"
    )
    on_other_seeds: list[float] | None = Described(
        description="The same of other seeds on these images; null: a side has a single run"
    )
    mcnemar_p: float | None = Described(description="McNemar's exact test; null: a side has several runs")
    sentence: str


class DisagreementResponse(BaseModel):
    """Of two runs, or of two sides with several runs: then `both` counts images that all got right, `only_…` those that
    a larger share of that side's runs got right, `neither` the rest.
    """

    both: int = Described(description="Validation images that both runs classified correctly")
    neither: int
    only_left: int
    only_right: int
    epoch_left: int = Described(description="The epoch, the left run's last, after which it classified the images")
    epoch_right: int = Described(description="The same of the right run")
    pictures_left: list[DisagreementImage] = Described(
        description="The first images that only the left run classified correctly"
    )
    pictures_right: list[DisagreementImage] = Described(
        description="The first images that only the right run classified correctly"
    )
    paired: PairedResponse


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
    here: Here, left: RunIds = "", right: RunIds = "", left_group: GroupName = "", right_group: GroupName = ""
) -> DisagreementResponse:
    """Compare two runs, or two groups, image by image, by their predictions after the last epoch.

    Returns validation images that one side classified correctly more often, the difference of their accuracies, and how
    much it depends on the images and on the seeds.
    """
    with here.records.read() as session:
        one = _side_runs(session, left, left_group, "left")
        other = _side_runs(session, right, right_group, "right")
        answer = compare_image_by_image(session, here.previews.gallery, one, other)
    found = answer.disagreement
    images = [
        [
            DisagreementImage(
                number=one.number,
                png=one.png,
                label=one.label,
                taken=list(one.predicted),
                correct=list(one.correct),
            )
            for one in side
        ]
        for side in found.pictures
    ]
    return DisagreementResponse(
        both=found.both,
        neither=found.neither,
        only_left=found.only[0],
        only_right=found.only[1],
        epoch_left=found.epochs[0],
        epoch_right=found.epochs[1],
        pictures_left=images[0],
        pictures_right=images[1],
        paired=_paired(answer),
    )


def _side_runs(session: Session, run_ids: str, group: str, field: str) -> list[int]:
    if bool(run_ids) == bool(group):
        raise InvalidRequest([(field, f"name either run numbers ({field}) or a recipe's hash ({field}_group)")])
    if run_ids:
        return parse_run_ids([run_ids], field)
    return [row.id for row in load_group(session, group).sample.finished]


def _paired(answer: ImageByImage) -> PairedResponse:
    paired, seeds = answer.paired, answer.paired.on_other_seeds
    return PairedResponse(
        images=paired.images,
        runs=list(answer.run_ids),
        accuracy=list(paired.accuracy),
        difference=paired.difference,
        on_other_images=list(paired.on_other_images),
        on_other_seeds=None if seeds is None else list(seeds),
        mcnemar_p=paired.mcnemar_p,
        sentence=answer.sentence,
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
        last_epoch=side.last_epoch,
        sd=side.sd,
        interval=side.interval,
        tta=accuracy.tta_views(side.run.recipe),
        plain=side.without_tta,
        best=side.best,
        best_epoch=side.best_epoch,
        plain_best=side.best_without_tta,
        seconds=side.seconds,
        time_to_target=side.time_to_target,
        steps=side.steps,
        knobs=settings,
    )
