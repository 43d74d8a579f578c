"""One epoch: the remaining steps from the current position, then the evaluation.

At every step boundary, `Experiment.place` and the device hold the complete state, so a run can be stopped at any step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch
from trainer.augment.selections import list_selections
from trainer.data.datasets import Data
from trainer.engine.interface import Engine, HostBatch, ImageIndices, MeanMetrics
from trainer.events import BaseEvent, Evidence
from trainer.failures import Stopped
from trainer.loop.batches import BatchSource
from trainer.loop.checkpoint_file import RunPosition
from trainer.loop.divergence import refuse_not_finite
from trainer.loop.measure import measure_first_step
from trainer.loop.progress import Progress
from trainer.machine.device_load import LoadMonitor
from trainer.machine.power import ReadEnergy
from trainer.recipe import Recipe

EVALUATION_BATCH = 500  # images; divides CIFAR's 10,000, and a wide model's activations still fit a small GPU
MEASURED_EPOCHS = (1, 2)  # epochs whose first step is measured: the first, and one that must show new draws
LOOK_S = 1.0  # seconds between two reads of the training metrics: each waits for the device


@dataclass
class Experiment:
    """Everything that an epoch needs, and its current position."""

    recipe: Recipe
    data: Data
    rates: NDArray[np.float32]  # of the whole run
    steps: int  # per epoch
    engine: Engine
    source: BatchSource
    progress: Progress
    emit: Callable[[BaseEvent], None]
    stop: Callable[[], bool]
    meter: ReadEnergy | None = None  # the device's energy
    watch: LoadMonitor | None = None  # the device's load
    look_s: float = LOOK_S
    evaluation_batch: int = EVALUATION_BATCH
    place: RunPosition = field(default_factory=RunPosition)
    is_augmented_once: bool = False  # whether this attempt has augmented all images ahead of the loop


def train_steps(run: Experiment) -> MeanMetrics:
    """Take the remaining steps of the current epoch. Its metrics stay on the device until the epoch ends.

    Raises Stopped at a step boundary, and Diverged.
    """
    epoch, first = run.place.epoch + 1, run.place.step
    run.progress.phase("training", epoch, run.steps)
    batches = list_selections(run.recipe, len(run.data.train_images), epoch)
    if first < run.steps:
        _augment_once(run, epoch)
    witnessed = _measure_first_step(run, epoch) if epoch in MEASURED_EPOCHS and not first else None

    before, began, used = run.place, perf_counter(), _start_meter(run)
    with run.source.epoch_batches(run.engine, epoch, batches[first:]) as feed:

        def stands(step: int) -> RunPosition:
            seconds = before.seconds + perf_counter() - began
            waited = before.input_seconds + feed.waited
            return replace(before, step=step, seconds=seconds, input_seconds=waited, energy_wh=used(before))

        step, watch = first, _StepMonitor(run)
        for batch in feed:
            if run.stop():
                run.engine.synchronize()
                run.place = stands(step)
                raise Stopped
            run.engine.step(batch)
            step += 1
            watch.stepped(step, len(batch))
            if witnessed is not None:
                evidence, expected = witnessed
                if isinstance(batch, HostBatch):
                    evidence.is_what_the_step_saw &= np.array_equal(batch.images, expected)
                run.emit(evidence)
                witnessed = None
        trained = run.engine.training_metrics()
        run.place = stands(step)
    return trained


def evaluate(run: Experiment) -> MeanMetrics:
    """Validate after an epoch's last step. Raises Stopped, with the position still at the end of training."""
    batches = evaluation_batches(run)
    run.progress.phase("evaluating", run.place.epoch + 1, len(batches))
    for done, indices in enumerate(batches):
        if run.stop():
            run.engine.end_evaluation()
            raise Stopped
        run.engine.evaluate(indices)
        run.progress.update(step=done + 1)
    return run.engine.end_evaluation()


def evaluation_batches(run: Experiment) -> list[ImageIndices]:
    images, size = len(run.data.val_images), run.evaluation_batch
    return [np.arange(first, min(first + size, images), dtype=np.int32) for first in range(0, images, size)]


def _start_meter(run: Experiment) -> Callable[[RunPosition], float | None]:
    """Start measuring; the returned function adds the energy used since then to a position's."""
    if run.meter is None:
        return lambda place: None
    meter, began = run.meter, run.meter()
    return lambda place: (place.energy_wh or 0.0) + meter() - began


def _augment_once(run: Experiment, epoch: int) -> None:
    """Augment all images ahead of the loop if the recipe says so; its time counts in the epoch, as a cost of training.

    Repeated in each attempt, since the images are in memory only.
    """
    if run.recipe.augment_when == "once" and not run.is_augmented_once:
        run.progress.phase("loading", epoch)
        began, used = perf_counter(), _start_meter(run)
        run.source.augment_once(run.stop)
        run.is_augmented_once = True
        seconds, place = perf_counter() - began, run.place
        run.place = replace(
            place,
            seconds=place.seconds + seconds,
            input_seconds=place.input_seconds + seconds,
            energy_wh=used(place),
        )
        run.progress.phase("training", epoch, run.steps)


def _measure_first_step(run: Experiment, epoch: int) -> tuple[Evidence, Batch]:
    selection = list_selections(run.recipe, len(run.data.train_images), epoch)[0]
    return measure_first_step(run.source, run.engine, run.rates, epoch, run.steps, selection)


class _StepMonitor:
    """Updates the progress after each step, and reads the training metrics now and then."""

    def __init__(self, run: Experiment) -> None:
        self._run, self._images = run, 0
        self._began = self._looked = perf_counter()

    def stepped(self, step: int, images: int) -> None:
        """Raises Diverged if the loss so far is not finite."""
        self._images += images
        now, run = perf_counter(), self._run
        known: dict[str, float] = {
            "step": step,
            "learning_rate": float(run.rates[run.place.epoch * run.steps + step - 1]),
            "images_per_second": self._images / (now - self._began),
        }
        if now - self._looked >= run.look_s:
            sums = run.engine.training_metrics()
            what = f"the loss of epoch {run.place.epoch + 1}, after {step} of {run.steps} steps,"
            refuse_not_finite(run.recipe, sums.loss + sums.penalty, what)
            known |= {"train_loss": sums.loss, "train_accuracy": sums.accuracy}
            self._looked = perf_counter()
        run.progress.update(**known)
