"""What the epochs so far say of a run: best, elapsed, share done, time left. Pure functions of rows.

Must not know sessions or HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from app.metrics import milestones
from app.metrics.accuracy import accuracy_without_tta, ranking_accuracy
from app.records.models import Epoch, Run
from trainer.events import EpochEnded, Step

RECENT_EPOCHS = 5  # the latest ones say best how long the next will take


def after_epoch(run: Run, event: EpochEnded) -> None:
    """Bring the run's own columns up to date with an epoch that lengthens its curve."""
    accuracy = ranking_accuracy(event)
    run.last_epoch = event.epoch
    run.last_val_accuracy, run.last_plain_accuracy = accuracy, accuracy_without_tta(event)
    run.tta_seconds += event.tta_seconds
    run.elapsed_seconds += event.seconds
    run.spent_seconds += event.seconds
    run.energy_wh = event.energy_wh if event.epoch == 1 else milestones.added(run.energy_wh, event.energy_wh)
    run.milestones = milestones.grown(run.milestones, event.epoch, run.elapsed_seconds, run.energy_wh, accuracy)
    if accuracy is None:
        return
    if run.best_val_accuracy is None or accuracy > run.best_val_accuracy:
        run.best_val_accuracy, run.best_epoch = accuracy, event.epoch
        run.best_plain_accuracy = accuracy_without_tta(event)
    if run.time_to_target is None and accuracy >= float(run.recipe["target_accuracy"]):
        run.time_to_target = run.elapsed_seconds


def after_rewrite(run: Run, shown: Sequence[Epoch]) -> None:
    """The same where a later attempt has replaced epochs of an earlier one (`shown`: runs.epochs_of)."""
    run.elapsed_seconds = sum(row.seconds for row in shown)
    run.tta_seconds = sum(row.tta_seconds for row in shown)
    run.milestones = milestones.pack_milestones(shown)
    run.energy_wh = reduce(milestones.added, [row.energy_wh for row in shown]) if shown else None
    scored = [(accuracy, -row.epoch, row) for row in shown if (accuracy := ranking_accuracy(row)) is not None]
    best, _, row = max(scored, default=(None, None, None))  # the earliest epoch of equal ones
    run.best_val_accuracy, run.best_epoch = best, row.epoch if row else None
    run.best_plain_accuracy = accuracy_without_tta(row) if row else None
    run.time_to_target = time_to(float(run.recipe["target_accuracy"]), shown)


def time_to(target: float, shown: Sequence[Epoch]) -> float | None:
    """Training seconds at the end of the first epoch whose accuracy, as it counts, is at or above the target.

    Source: DAWNBench's rule (first epoch at 94 % top-1 or above). None: not reached.
    """
    elapsed = 0.0
    for row in shown:
        elapsed += row.seconds
        if (accuracy := ranking_accuracy(row)) is not None and accuracy >= target:
            return elapsed
    return None


def of_step(run: Run, step: Step, recent: Sequence[float]) -> dict[str, Any]:
    """A step event with what people want to know of it: the share of the run that is done (0..1), seconds trained and
    left (None: unknown), and the phase in words. `recent`: seconds that the latest epochs took, validation included.
    """
    within = step.step / step.steps_per_epoch if step.steps_per_epoch else 0.0
    if step.phase in {"evaluating", "saving"}:
        within = 1.0  # its steps are done: validation must not look like going back
    done = min(max(step.epoch - 1, 0) + within, run.epochs)
    if recent:
        per_epoch: float | None = sum(recent) / len(recent)
    elif step.step and step.seconds and within:
        per_epoch = step.seconds / within
    else:
        per_epoch = None
    is_training = f"epoch {step.epoch}, step {step.step} of {step.steps_per_epoch}"
    return step.model_dump(mode="json") | {
        "run": run.id,
        "epochs": run.epochs,
        "progress": done / run.epochs,
        "elapsed_seconds": run.elapsed_seconds + (step.seconds if step.phase == "training" else 0.0),
        "eta_seconds": None if per_epoch is None else (run.epochs - done) * per_epoch,
        "words": is_training if step.phase == "training" else step.phase,
    }
