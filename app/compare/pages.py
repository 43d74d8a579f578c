"""HTML page of a comparison: results, settings that differ, overlaid curves, images that only one run got right.

Works without JavaScript: the URL names what is compared, and every number is in a table.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from app.board.metrics import METRICS
from app.board.verdicts import Answer, Question, answer
from app.charts import palette
from app.compare import charts, comparison
from app.compare.image_by_image import compare_image_by_image, list_choices
from app.compare.query import Field, Groups, Runs, YRange, parse_names, parse_run_ids
from app.errors import InvalidRequest
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here
from app.web.templates import page
from trainer.data.gallery import Gallery

FIELDS = {
    "counted_accuracy": "Validation accuracy",
    "val_accuracy": "Validation accuracy without TTA",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
    "seconds": "Seconds per epoch",
}
RunIds = Annotated[str, Query(max_length=2000)]  # of one side, separated by commas

router = APIRouter(include_in_schema=False)


@router.get("/compare")
def show_comparison(
    request: Request,
    here: Here,
    run_names: Runs = [],  # noqa: B006
    groups: Groups = [],  # noqa: B006
    field: Field = "counted_accuracy",
    fold: bool = True,
    y: YRange = "all",
    left: RunIds = "",
    right: RunIds = "",
) -> Response:
    if "back" in request.query_params:  # from the list of runs, with every field of its form
        return RedirectResponse(comparison.compare_url(parse_run_ids(run_names), parse_names(groups), fold=fold), 303)
    with here.records.read() as session:
        found = comparison.compare(session, parse_run_ids(run_names), parse_names(groups), fold=fold)
        figure = charts.curves_figure(found, field)
        ranges = charts.find_y_ranges(figure)
        axes = charts.build_axes(found) if len(found.sides) > 1 else []
        context = {
            "found": found,
            "without": [_url_without(found, side) for side in found.sides],
            "settings": [path for path, _ in found.differing],
            "values": found.values,
            "is_mixed": len({side.run.hardware for side in found.sides}) > 1,
            "field": field,
            "fields": FIELDS,
            "figure": figure
            | {"has_legend": False, "y_range": ranges.get(y), "y_ranges": ranges}
            | ({"x_from": charts.first_late_epoch(figure)} if y == "end" and ranges else {}),
            "y": y if y in ranges else "all",
            "y_ranges": {name: title for name, title in charts.Y_RANGES.items() if name == "all" or name in ranges},
            "dashes": palette.DASHES,
            "markers": palette.MARKERS,
            "other_folding": comparison.compare_url(found.run_ids, found.group_names, fold=not fold),
            "axes": [vars(axis) for axis in axes],
            "parallel": charts.build_parallel_coordinates(axes),
            "pair": found.pair,
            "verdict": _verdict(session, found),
            "metrics": METRICS.values(),
            "plotly": PLOTLY,
        }
        return page(
            request, "compare/index.html", context | _disagreement(session, here.previews.gallery, found, left, right)
        )


def _disagreement(
    session: Session, gallery: Gallery, found: comparison.Comparison, left: str, right: str
) -> dict[str, Any]:
    """The chosen sides image by image. For an invalid choice, the form shows the error."""
    choices = list_choices(session, found.sides)
    context: dict[str, Any] = {"choices": choices, "left": left, "right": right, "by_image": None, "trouble": ""}
    if not left or not right:
        return context
    try:
        one, other = parse_run_ids([left], "left"), parse_run_ids([right], "right")
        context["by_image"] = compare_image_by_image(session, gallery, one, other)
    except InvalidRequest as problem:
        context["trouble"] = "; ".join(sentence for _, sentence in problem.mistakes)
    return context


def _verdict(session: Session, found: comparison.Comparison) -> Answer | None:
    """Of two recipes by final accuracy; None if other things are compared."""
    if found.pair is None:
        return None
    return answer(session, Question(found.pair[0].recipe_hash, found.pair[1].recipe_hash))


def _url_without(found: comparison.Comparison, side: comparison.Side) -> str:
    is_chosen_group = side.is_group and not side.is_folded
    run_ids = [run_id for run_id in found.run_ids if is_chosen_group or run_id not in side.run_ids]
    group_names = [
        name for name in found.group_names if not is_chosen_group or not side.recipe_hash.startswith(name.lower())
    ]
    return comparison.compare_url(run_ids, group_names, fold=found.fold)
