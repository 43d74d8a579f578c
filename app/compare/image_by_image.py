"""Two sides of a comparison, each a run, folded runs or a group, on the same validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.compare.comparison import Side
from app.images import predictions
from app.metrics.paired_images import PairedComparison, compare_images, describe_paired
from app.records.models import Run
from app.runs import runs
from trainer.data.gallery import Gallery

MAX_RUNS = 100  # of a side, the newest


@dataclass(frozen=True)
class Choice:
    """A side to choose in the form."""

    value: str  # run ids, separated by commas
    title: str


@dataclass(frozen=True)
class ImageByImage:
    names: tuple[str, str]
    run_ids: tuple[list[int], list[int]]  # those with predictions
    disagreement: predictions.Disagreement
    paired: PairedComparison
    sentence: str


def list_choices(session: Session, sides: Sequence[Side]) -> list[Choice]:
    """The sides whose predictions are stored, unless there is only one, then the runs of those with several."""
    stored = [(side, predictions.runs_with_predictions(session, side.run_ids)) for side in sides]
    stored = [(side, run_ids) for side, run_ids in stored if run_ids]
    several = [run_id for _, run_ids in stored if len(run_ids) > 1 for run_id in run_ids]
    whole = [Choice(join_ids(run_ids), side.name) for side, run_ids in stored]
    return (whole if len(whole) > 1 or not several else []) + [Choice(str(run), f"#{run}") for run in several]


def compare_image_by_image(
    session: Session, gallery: Gallery, left: Sequence[int], right: Sequence[int]
) -> ImageByImage:
    """`left`, `right`: run ids; of several, those without predictions are left out, and later runs of a seed. Raises
    NotFound, and InvalidRequest as `predictions.find_disagreement` does.
    """
    one, other = _load_runs(session, left), _load_runs(session, right)
    found = predictions.find_disagreement(session, gallery, one, other)
    paired, names = compare_images(*found.correct), _name_sides(one, other)
    run_ids = [run.id for run in one], [run.id for run in other]
    return ImageByImage(names, run_ids, found, paired, describe_paired(paired, *names))


def join_ids(run_ids: Sequence[int]) -> str:
    return ",".join(map(str, run_ids))


def _load_runs(session: Session, run_ids: Sequence[int]) -> list[Run]:
    """Those with predictions, the earliest of each seed. A single run is kept: it is named if it has none."""
    chosen = sorted(set(run_ids))[-MAX_RUNS:]
    stored = chosen if len(chosen) == 1 else predictions.runs_with_predictions(session, chosen)
    found = [runs.find(session, run_id) for run_id in stored]
    by_recipe_and_seed = {(run.recipe_hash, run.seed): run for run in reversed(found)}
    return sorted(by_recipe_and_seed.values(), key=lambda run: run.id)


def _name_sides(one: Sequence[Run], other: Sequence[Run]) -> tuple[str, str]:
    """`#7`, `lower peak (3 runs)`, or `#7 and 2 more` if both sides have the same name."""
    if len(one) > 1 and len(other) > 1 and one[0].name == other[0].name:
        return f"#{one[0].id} and {len(one) - 1} more", f"#{other[0].id} and {len(other) - 1} more"
    names = [f"#{side[0].id}" if len(side) == 1 else f"{side[0].name} ({len(side)} runs)" for side in (one, other)]
    return names[0], names[1]
