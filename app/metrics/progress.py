"""The progress of a run, computed from its epochs: best accuracy, time trained, share done, time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from app.metrics import milestones
from app.metrics.accuracy import accuracy_without_tta, ranking_accuracy
from app.records.models import Epoch
from trainer.events import EpochEnded, Step

RECENT_EPOCHS = 5  # whose duration predicts that of the next epochs best


@dataclass(slots=True)
class RunProgress:
    """The columns of a run that its epochs change, and what that takes. Fields as in app.records.models.Run."""

    id: int
    epochs: int
    target_accuracy: float
    last_epoch: int = 0
    last_val_accuracy: float | None = None
    last_plain_accuracy: float | None = None
    best_val_accuracy: float | None = None
    best_plain_accuracy: float | None = None
    best_epoch: int | None = None
    time_to_target: float | None = None
    elapsed_seconds: float = 0.0
    spent_seconds: float = 0.0
    tta_seconds: float = 0.0
    energy_wh: float | None = None
    milestones: bytes = b""


def apply_epoch(run: RunProgress, event: EpochEnded) -> None:
    """Update the columns of the run with the next epoch of its curve."""
    accuracy = ranking_accuracy(event)
    run.last_epoch = event.epoch
    run.last_val_accuracy, run.last_plain_accuracy = accuracy, accuracy_without_tta(event)
    run.tta_seconds += event.tta_seconds
    run.elapsed_seconds += event.seconds
    run.spent_seconds += event.seconds
    run.energy_wh = event.energy_wh if event.epoch == 1 else milestones.add_energy(run.energy_wh, event.energy_wh)
    run.milestones = milestones.append_milestone(
        run.milestones, event.epoch, run.elapsed_seconds, run.energy_wh, accuracy
    )
    if accuracy is None:
        return
    if run.best_val_accuracy is None or accuracy > run.best_val_accuracy:
        run.best_val_accuracy, run.best_epoch = accuracy, event.epoch
        run.best_plain_accuracy = accuracy_without_tta(event)
    if run.time_to_target is None and accuracy >= run.target_accuracy:
        run.time_to_target = run.elapsed_seconds


def recompute_progress(run: RunProgress, epochs: Sequence[Epoch]) -> None:
    """Recompute the columns after an attempt replaced epochs of an earlier one. `epochs`: runs.shown_epochs."""
    run.elapsed_seconds = sum(epoch.seconds for epoch in epochs)
    run.tta_seconds = sum(epoch.tta_seconds for epoch in epochs)
    run.milestones = milestones.pack_milestones(epochs)
    run.energy_wh = reduce(milestones.add_energy, [epoch.energy_wh for epoch in epochs]) if epochs else None
    scored = [(accuracy, -epoch.epoch, epoch) for epoch in epochs if (accuracy := ranking_accuracy(epoch)) is not None]
    best_accuracy, _, best = max(scored, default=(None, None, None))  # the earliest of equal epochs
    run.best_val_accuracy, run.best_epoch = best_accuracy, best.epoch if best else None
    run.best_plain_accuracy = accuracy_without_tta(best) if best else None
    run.time_to_target = time_to_target(run.target_accuracy, epochs)


def time_to_target(target: float, epochs: Sequence[Epoch]) -> float | None:
    """Training seconds at the end of the first epoch whose ranking accuracy is at or above the target.

    Source: DAWNBench's rule (first epoch at 94 % top-1 or above). None: not reached.
    """
    elapsed = 0.0
    for epoch in epochs:
        elapsed += epoch.seconds
        if (accuracy := ranking_accuracy(epoch)) is not None and accuracy >= target:
            return elapsed
    return None


def describe_step(run: RunProgress, step: Step, recent: Sequence[float]) -> dict[str, Any]:
    """The step event with the share of the run that is done (0..1), seconds trained and left (None: unknown), and the
    phase as text. `recent`: seconds that the latest epochs took, validation included.
    """
    within = step.step / step.steps_per_epoch if step.steps_per_epoch else 0.0
    if step.phase in {"evaluating", "saving"}:
        within = 1.0  # its steps are done: progress must not go back during validation
    done = min(max(step.epoch - 1, 0) + within, run.epochs)
    if recent:
        per_epoch: float | None = sum(recent) / len(recent)
    elif step.step and step.seconds and within:
        per_epoch = step.seconds / within
    else:
        per_epoch = None
    training = f"epoch {step.epoch}, step {step.step} of {step.steps_per_epoch}"
    return step.model_dump(mode="json") | {
        "run": run.id,
        "epochs": run.epochs,
        "progress": done / run.epochs,
        "elapsed_seconds": run.elapsed_seconds + (step.seconds if step.phase == "training" else 0.0),
        "eta_seconds": None if per_epoch is None else (run.epochs - done) * per_epoch,
        "words": training if step.phase == "training" else step.phase,
    }
