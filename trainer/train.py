"""The experiment on one screen: data, net, engine, epochs. Read it top to bottom.

Speaks through `say` and nothing else. Must not know processes, signals, files of events, or the app.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from trainer import datasets
from trainer.augment.draws import order
from trainer.augment.feed import Feed
from trainer.augment.host import Batch, Pipeline
from trainer.engine.interface import Engine, Sums
from trainer.environment import environment
from trainer.events import EpochEnded, Finished, Said, Started
from trainer.failures import Diverged, RecipeMistake, Stopped
from trainer.progress import Progress
from trainer.recipe import Recipe
from trainer.schedules import learning_rates, steps_per_epoch

log = logging.getLogger(__name__)

EVALUATION_BATCH = 500  # pictures; divides CIFAR's 10,000, and a wide net's activations still fit a small card


def train(recipe: Recipe, say: Callable[[Said], None], root: Path, stop: Callable[[], bool]) -> None:
    """Run the recipe from its first step to its last, on the data sets under `root`.

    Raises Stopped once `stop()` is true (asked between two steps), and CannotTrain's kinds.
    """
    with Progress(say) as progress:
        data = datasets.load(recipe.dataset, root, log.info)
        images, labels = data.train_images, data.train_labels
        steps = steps_per_epoch(len(images), recipe.batch_size, recipe.last_batch)
        if not steps:
            problem = f"batch_size: {recipe.batch_size} is more than the {len(images)} training pictures"
            raise RecipeMistake(problem, "Take smaller batches, or keep the last batch.")
        rates = learning_rates(recipe, len(images))
        pipeline = Pipeline(recipe, images)
        if stop():
            raise Stopped
        engine = _engine(recipe, len(data.classes), rates)
        if stop():  # the framework's import alone takes seconds
            raise Stopped

        progress.phase("compiling")
        began = perf_counter()
        sizes = [len(indices) for indices in _batches(recipe, np.arange(len(images)), steps)]
        engine.compile(sizes, [len(data.val_images[at]) for at in _slices(len(data.val_images))])
        pipeline.batch(1, np.arange(1))  # imgaug takes seconds to import; that is no epoch's fault
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
                    "precision": recipe.precision,
                },
            )
        )

        for epoch in range(1, recipe.epochs + 1):
            progress.phase("training", epoch, steps)
            began = perf_counter()
            batches = _batches(recipe, order(recipe.seed, epoch, len(images)), steps)
            with Feed(_preparation(pipeline, labels, epoch), batches) as feed:
                watch = _Watch(progress, rates[(epoch - 1) * steps :])
                for batch, batch_labels in feed:
                    if stop():
                        raise Stopped
                    engine.step(batch, batch_labels)
                    watch.stepped(engine, len(batch))
                trained = engine.epoch_end()
            seconds = perf_counter() - began
            if not math.isfinite(trained.loss + trained.penalty):
                hint = "Lower the schedule's highest learning rate."
                raise Diverged(f"the loss of epoch {epoch} is not a number any more", hint)

            progress.phase("evaluating", epoch, steps)
            began = perf_counter()
            validated = _evaluated(engine, pipeline, data, stop)
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
                    input_seconds=feed.waited,
                    val_seconds=perf_counter() - began,
                    compile_seconds=compile_seconds if epoch == 1 else 0.0,
                )
            )
    say(Finished(epochs=recipe.epochs))


def _engine(recipe: Recipe, classes: int, rates: NDArray[np.float32]) -> Engine:
    """Imported here: a missing data set is found without the seconds that a framework takes."""
    from trainer.engine.tensorflow import TensorFlowEngine

    return TensorFlowEngine(recipe, classes, rates)


def _batches(recipe: Recipe, pictures: NDArray[np.int64], steps: int) -> list[NDArray[np.int64]]:
    size = recipe.batch_size
    return [pictures[step * size : (step + 1) * size] for step in range(steps)]


def _preparation(
    pipeline: Pipeline, labels: NDArray[np.int64], epoch: int
) -> Callable[[NDArray[np.int64]], tuple[Batch, NDArray[np.int64]]]:
    return lambda indices: (pipeline.batch(epoch, indices), labels[indices])


def _evaluated(engine: Engine, pipeline: Pipeline, data: datasets.Data, stop: Callable[[], bool]) -> Sums:
    for at in _slices(len(data.val_images)):
        if stop():
            raise Stopped
        engine.evaluate(pipeline.evaluation(data.val_images[at]), data.val_labels[at])
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
