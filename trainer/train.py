"""The experiment on one screen: data, net, engine, epochs. Read it top to bottom.

Speaks through `say` and nothing else. Must not know processes, signals, files of events, or the app.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from trainer import datasets
from trainer.augment.crew import Crew, fitting
from trainer.augment.feed import Feed
from trainer.augment.selections import labels_of, selections
from trainer.check import check
from trainer.engine.interface import Engine, Sums
from trainer.environment import environment
from trainer.events import EpochEnded, Finished, Said, Started
from trainer.failures import Diverged, InputBroken, RecipeMistake, Stopped
from trainer.progress import Progress
from trainer.recipe import Recipe
from trainer.schedules import learning_rates, steps_per_epoch
from trainer.witness import witness

log = logging.getLogger(__name__)

EVALUATION_BATCH = 500  # pictures; divides CIFAR's 10,000, and a wide net's activations still fit a small card


WITNESSED = (1, 2)  # epochs whose first step is measured: the first, and one in which new draws must be seen


def train(
    recipe: Recipe,
    say: Callable[[Said], None],
    root: Path,
    stop: Callable[[], bool],
    processes: int | None = None,
) -> None:
    """Run the recipe from its first step to its last, on the data sets under `root`.

    `processes` prepare pictures (0: a thread; None: as many as suit the cores); the result does not depend on it.
    Raises Stopped once `stop()` is true (asked between two steps), and CannotTrain's kinds.
    """
    with Progress(say) as progress:
        data = datasets.load(recipe.dataset, root, log.info)
        steps = _steps(recipe, len(data.train_images))
        for warning in check(recipe, len(data.train_images)):
            log.info("note: %s", warning.text)
        rates = learning_rates(recipe, len(data.train_images))
        if stop():
            raise Stopped
        if processes is None:
            processes = fitting(len(os.sched_getaffinity(0)))
        try:
            with Crew(recipe, data.train_images, processes) as crew:
                _epochs(recipe, data, rates, steps, crew, progress, say, stop)
        except BrokenProcessPool:
            hint = "The machine may have run out of memory: look at its log, or prepare with fewer processes."
            raise InputBroken("a process that prepares pictures was killed", hint) from None
    say(Finished(epochs=recipe.epochs))


def _epochs(
    recipe: Recipe,
    data: datasets.Data,
    rates: NDArray[np.float32],
    steps: int,
    crew: Crew,
    progress: Progress,
    say: Callable[[Said], None],
    stop: Callable[[], bool],
) -> None:
    images, labels, classes = data.train_images, data.train_labels, len(data.classes)
    engine = _engine(recipe, classes, rates, crew)
    if stop():  # the framework's import alone takes seconds
        raise Stopped

    progress.phase("compiling")
    began = perf_counter()
    sizes = [len(selection) for selection in selections(recipe, len(images), 1)]
    engine.compile(sizes, [len(data.val_images[at]) for at in _slices(len(data.val_images))])
    crew.warm_up()
    compile_seconds = perf_counter() - began

    say(
        Started(
            train_images=len(images),
            val_images=len(data.val_images),
            classes=list(data.classes),
            steps_per_epoch=steps,
            parameters=engine.parameters(),
            environment={
                **environment(engine.device()),
                "dataset_fingerprint": data.fingerprint,
                "backend": recipe.backend,
                "augment_engine": recipe.augment_engine,
                "augment_processes": crew.processes,
                "precision": recipe.precision,
            },
        )
    )

    for epoch in range(1, recipe.epochs + 1):
        progress.phase("training", epoch, steps)
        batches = selections(recipe, len(images), epoch)
        ahead_seconds = 0.0
        if epoch == 1 and recipe.augment_when == "once":
            began = perf_counter()
            crew.change_once(stop)
            ahead_seconds = perf_counter() - began  # a part of the first epoch: it is what training cost
        evidence = None
        if epoch in WITNESSED:
            first_labels = labels_of(batches[0], labels, classes)
            evidence, expected = witness(crew, engine, rates, epoch, steps, batches[0], first_labels)

        began = perf_counter()
        with Feed(lambda one: crew.prepare(epoch, one), batches, ahead=crew.ahead) as feed:  # noqa: B023  # used here
            watch = _Watch(progress, rates[(epoch - 1) * steps :])
            for selection, batch in feed:
                if stop():
                    raise Stopped
                engine.step(batch, labels_of(selection, labels, classes))
                watch.stepped(engine, len(batch))
                if evidence is not None:
                    evidence.is_what_the_step_saw &= np.array_equal(batch, expected)
                    say(evidence)
                    evidence = None
            trained = engine.epoch_end()
        seconds = perf_counter() - began + ahead_seconds
        if not math.isfinite(trained.loss + trained.penalty):
            hint = "Lower the schedule's highest learning rate."
            raise Diverged(f"the loss of epoch {epoch} is not a number any more", hint)

        progress.phase("evaluating", epoch, steps)
        began = perf_counter()
        validated = _evaluated(engine, crew, data, stop)
        say(
            EpochEnded(
                epoch=epoch,
                train_loss=trained.loss,
                train_accuracy=trained.accuracy,
                val_loss=validated.loss,
                val_accuracy=validated.accuracy,
                learning_rate=float(rates[epoch * steps - 1]),
                penalty=trained.penalty if recipe.optimizer.weight_decay.kind == "l2" else None,
                seconds=seconds,
                input_seconds=feed.waited + ahead_seconds,
                val_seconds=perf_counter() - began,
                compile_seconds=compile_seconds if epoch == 1 else 0.0,
            )
        )


def _steps(recipe: Recipe, images: int) -> int:
    """Steps of an epoch. Raises RecipeMistake where the pictures do not make a single batch."""
    steps = steps_per_epoch(recipe, images)
    if not steps:
        needed = recipe.batch_size * (2 if recipe.mixup and recipe.mixup.pairing == "disjoint" else 1)
        problem = f"batch_size: an epoch has no step, since a batch takes {needed} of only {images} training pictures"
        raise RecipeMistake(problem, "Take smaller batches, or keep the last batch.")
    return steps


def _engine(recipe: Recipe, classes: int, rates: NDArray[np.float32], crew: Crew) -> Engine:
    """Imported here: a missing data set is found without the seconds that a framework takes."""
    from trainer.engine.tensorflow import TensorFlowEngine
    from trainer.models.whitening import SAMPLE, whitening_filters

    filters = None
    if recipe.model.whiten:
        filters = whitening_filters(crew.pipeline.evaluation(crew.pipeline.images[:SAMPLE]))
    return TensorFlowEngine(recipe, classes, rates, filters)


def _evaluated(engine: Engine, crew: Crew, data: datasets.Data, stop: Callable[[], bool]) -> Sums:
    for at in _slices(len(data.val_images)):
        if stop():
            raise Stopped
        engine.evaluate(crew.pipeline.evaluation(data.val_images[at]), data.val_labels[at])
    return engine.evaluation_end()


def _slices(images: int) -> list[slice]:
    return [slice(first, first + EVALUATION_BATCH) for first in range(0, images, EVALUATION_BATCH)]


class _Watch:
    """Reads the device's sums at most once a second: each reading makes it wait."""

    def __init__(self, progress: Progress, rates: NDArray[np.float32]) -> None:
        self._progress, self._rates = progress, rates
        self._steps = self._images = 0
        self._began = self._read = perf_counter()

    def stepped(self, engine: Engine, images: int) -> None:
        self._steps += 1
        self._images += images
        now = perf_counter()
        known: dict[str, float] = {
            "step": self._steps,
            "learning_rate": float(self._rates[self._steps - 1]),
            "images_per_second": self._images / (now - self._began),
        }
        if now - self._read >= 1.0:
            sums = engine.progress()
            known |= {"train_loss": sums.loss, "train_accuracy": sums.accuracy}
            self._read = perf_counter()
        self._progress.update(**known)
