"""Progress of a run vs. the best of its board at the same epoch and second, and its projected time to target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from app.board import ranking, samples
from app.metrics import curves, projection
from app.metrics.curves import Curve, compute_band
from app.metrics.projection import Projection
from app.records.models import ENDED, Run

MAX_SEEDS = 50  # earlier runs that are compared


@dataclass(frozen=True)
class BestRecipe:
    """The first row of the run's board: same images, same hardware."""

    name: str
    recipe_hash: str
    runs: list[int]


@dataclass(frozen=True)
class Comparison:
    """The accuracies of the run and of the best recipe at the same moment."""

    at: float  # epoch, or seconds of training time
    own: float
    best: float  # mean over its runs
    sd: float | None  # over its runs


@dataclass(frozen=True)
class ProgressVsBest:
    best: BestRecipe | None
    epoch: Comparison | None
    second: Comparison | None
    projection: Projection | None  # None: the run has ended or reached its target


def best_from_runs(runs: Sequence[Run]) -> BestRecipe | None:
    """Built from the runs of the best recipe, which `find_best` found earlier."""
    return BestRecipe(runs[-1].name, runs[-1].recipe_hash, [run.id for run in runs]) if runs else None


def find_best(session: Session, run: Run) -> BestRecipe | None:
    """By time to the run's target or, if no recipe reaches it, by accuracy. None: not started, or no other runs."""
    if run.hardware is None or run.fingerprint is None:
        return None
    for metric in ("time_to_target", "accuracy"):
        query = ranking.BoardQuery(
            run.dataset, metric, float(run.recipe["target_accuracy"]), run.hardware, run.fingerprint, limit=1
        )
        rows = [row for row in ranking.rank_recipes(session, query).rows if row.rank]
        if rows:
            others = [row.id for row in rows[0].sample.included if row.id != run.id][-MAX_SEEDS:]
            return BestRecipe(rows[0].run.name, rows[0].run.recipe_hash, others) if others else None
    return None


def compare_with_best(session: Session, run: Run, best: BestRecipe | None) -> ProgressVsBest:
    """Reads the curves of the best and of the run's own repeats, but does not rank a board."""
    own = curves.load_curves(session, [run.id]).get(run.id)
    if own is None:
        return ProgressVsBest(best, None, None, None)
    others = (
        [one for one in curves.load_curves(session, best.runs).values() if one.counted_accuracy.size] if best else []
    )
    return ProgressVsBest(best, *(_compare(own, others) if others else (None, None)), _projection(session, run, own))


def _compare(own: Curve, others: list[Curve]) -> tuple[Comparison | None, Comparison | None]:
    epoch, seconds, accuracy = float(own.epoch[-1]), float(own.elapsed[-1]), float(own.counted_accuracy[-1])
    if np.isnan(accuracy):
        return None, None
    mean = compute_band(others)
    at = np.flatnonzero(mean.epoch == epoch)
    by_epoch = None
    if len(at):
        spread = float(mean.sd[at[0]])
        by_epoch = Comparison(epoch, accuracy, float(mean.mean[at[0]]), None if np.isnan(spread) else spread)
    known = [value for one in others if (value := _accuracy_at(one, seconds)) is not None]
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    by_second = Comparison(seconds, accuracy, float(np.mean(known)), sd) if len(known) == len(others) else None
    return by_epoch, by_second


def _accuracy_at(curve: Curve, seconds: float) -> float | None:
    """The accuracy of the last epoch that had finished by then."""
    ended = curve.counted_accuracy[(curve.elapsed <= seconds) & ~np.isnan(curve.counted_accuracy)]
    return float(ended[-1]) if len(ended) else None


def _projection(session: Session, run: Run, own: Curve) -> Projection | None:
    if run.status in ENDED or run.time_to_target is not None:
        return None
    same = (Run.recipe_hash == run.recipe_hash, Run.hardware == run.hardware, Run.fingerprint == run.fingerprint)
    included = [
        row for sample in samples.group_into_samples(samples.load_rows(session, *same)) for row in sample.included
    ]
    earlier = [row.id for row in included if row.id != run.id][-MAX_SEEDS:]
    history = list(curves.load_curves(session, earlier).values())
    return projection.project(own, run.epochs, float(run.recipe["target_accuracy"]), history)
