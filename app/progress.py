"""What the epochs so far say of a run: best, elapsed, share done, time left. Pure functions of rows.

Must not know sessions or HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.models import Epoch, Run
from trainer.events import EpochEnded, Step

EPOCHS_FOR_ETA = 5  # the latest ones say best how long the next will take


def after_epoch(run: Run, event: EpochEnded, shown: Sequence[Epoch]) -> None:
    """Bring the run's own columns up to date with its curve (`shown`: runs.epochs_of)."""
    run.last_epoch = event.epoch
    run.last_val_accuracy = event.val_accuracy
    run.elapsed_seconds = sum(row.seconds for row in shown)
    run.spent_seconds += event.seconds
    scored = [(row.val_accuracy, -row.epoch) for row in shown if row.val_accuracy is not None]
    if scored:
        best, minus_epoch = max(scored)  # the earliest epoch of equal ones
        run.best_val_accuracy, run.best_epoch = best, -minus_epoch
    run.time_to_target = time_to(float(run.recipe["target_accuracy"]), shown)


def time_to(target: float, shown: Sequence[Epoch]) -> float | None:
    """Training seconds at the end of the first epoch whose validation accuracy is at or above the target.

    Source: DAWNBench's rule (first epoch at 94 % top-1 or above). None: not reached.
    """
    elapsed = 0.0
    for row in shown:
        elapsed += row.seconds
        if row.val_accuracy is not None and row.val_accuracy >= target:
            return elapsed
    return None


def of_step(run: Run, step: Step, shown: Sequence[Epoch]) -> dict[str, Any]:
    """A step event with the share of the run that is done (0..1) and the seconds that are left (None: unknown)."""
    done = max(step.epoch - 1, 0) + (step.step / step.steps_per_epoch if step.steps_per_epoch else 0.0)
    left = run.epochs - min(done, run.epochs)
    whole = [row.seconds + row.val_seconds for row in shown[-EPOCHS_FOR_ETA:]]
    if whole:
        per_epoch: float | None = sum(whole) / len(whole)
    elif step.step and step.seconds and step.steps_per_epoch:
        per_epoch = step.seconds / step.step * step.steps_per_epoch
    else:
        per_epoch = None
    return step.model_dump(mode="json") | {
        "run": run.id,
        "epochs": run.epochs,
        "progress": min(done / run.epochs, 1.0),
        "eta_seconds": None if per_epoch is None else left * per_epoch,
    }
