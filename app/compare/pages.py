"""HTML of a comparison: curves over each other, what differs, results, and pictures that only one run got right.

Works without JavaScript: what is compared is in the address, every number in a table. Must not know SQL or formulas.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from app.compare import charts, comparison
from app.compare.query import Field, Groups, Runs, numbers, words
from app.errors import InvalidRequest
from app.images import predictions as pictures
from app.runs import runs
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here, State
from app.web.templates import page

FIELDS = {
    "counted_accuracy": "Validation accuracy",
    "val_accuracy": "Validation accuracy, plain",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
    "seconds": "Seconds per epoch",
}
One = Annotated[int | None, Query(ge=1, lt=2**63)]

router = APIRouter(include_in_schema=False)


@router.get("/compare")
def show_comparison(
    request: Request,
    here: Here,
    asked: Runs = [],  # noqa: B006
    groups: Groups = [],  # noqa: B006
    field: Field = "counted_accuracy",
    left: One = None,
    right: One = None,
) -> Response:
    if "back" in request.query_params:  # from the list of runs, with all that its form holds
        return RedirectResponse(comparison.address(numbers(asked), words(groups)), 303)
    with here.records.read() as session:
        found = comparison.compare(session, numbers(asked), words(groups))
        axes = charts.axes(found) if len(found.sides) > 1 else []
        context = {
            "found": found,
            "without": [_without(found, side) for side in found.sides],
            "knobs": [path for path, _ in found.differing],
            "values": found.values,
            "is_mixed": len({side.run.hardware for side in found.sides}) > 1,
            "field": field,
            "fields": FIELDS,
            "figure": charts.curves(found, field),
            "axes": [vars(axis) for axis in axes],
            "parallel": charts.parallel(axes),
            "plotly": PLOTLY,
        }
        return page(request, "compare/index.html", context | _pictures(session, here, found, left, right))


def _pictures(
    session: Session, here: State, found: comparison.Comparison, left: int | None, right: int | None
) -> dict[str, Any]:
    """Of the two that were chosen; a wrong choice is a sentence beside the choice."""
    kept = pictures.with_predictions(session, found.runs)
    chosen = (left, right) if left and right else None
    context: dict[str, Any] = {"kept": kept, "left": left, "right": right, "disagreement": None, "trouble": ""}
    if chosen is None:
        return context
    try:
        one, other = (runs.find(session, run_id) for run_id in chosen)
        context["disagreement"] = pictures.disagreement(session, here.previews.gallery, one, other)
    except InvalidRequest as problem:
        context["trouble"] = "; ".join(sentence for _, sentence in problem.mistakes)
    return context


def _without(found: comparison.Comparison, side: comparison.Side) -> str:
    """The address of the same comparison with one side less."""
    kept_runs = [str(run) for run in found.runs if side.address != f"/runs/{run}"]
    kept_names = [name for name in found.names if not side.is_group or not side.recipe_hash.startswith(name.lower())]
    return comparison.address(kept_runs, kept_names)
