"""Trains one recipe, from data and engine through all epochs; epoch.py does a single epoch.

Its only output besides checkpoints is the events passed to `emit`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from trainer.augment.loader_pool import count_processes
from trainer.augment.normalisation import PerChannel, compute_normalisation
from trainer.augment.selections import list_selections
from trainer.data.datasets import Data
from trainer.data.predictions import pack, pack_confidences
from trainer.engine import faults
from trainer.engine.interface import Engine
from trainer.events import BaseEvent, EpochEnded, Finished, Started
from trainer.failures import CannotTrain, InputBroken, RecipeMistake, Stopped
from trainer.loop.batches import open_batch_source
from trainer.loop.checkpoint_file import Checkpoint, Metadata, RunPosition
from trainer.loop.checkpoints import EVERY_S, Checkpoints
from trainer.loop.device_fit import choose_precision, device_memory, refuse_too_large
from trainer.loop.divergence import refuse_broken_state, refuse_diverged, refuse_not_finite
from trainer.loop.epoch import EVALUATION_BATCH, LOOK_S, Experiment, evaluate, evaluation_batches, train_steps
from trainer.loop.progress import Progress
from trainer.loop.resume import refuse_another_recipe, refuse_other_images
from trainer.loop.warm import Preloaded
from trainer.machine.device_load import LoadMonitor
from trainer.machine.environment import describe_environment, list_differences
from trainer.machine.peak_flops import peak_flops
from trainer.machine.power import ReadEnergy
from trainer.models.architectures import build_layers
from trainer.models.layers import compute_totals
from trainer.recipe import Recipe
from trainer.recipe.check import check_recipe
from trainer.recipe.learning_rates import learning_rates, steps_per_epoch

log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    emit: Callable[[BaseEvent], None],
    root: Path,
    stop: Callable[[], bool],
    processes: int | None = None,
    *,
    folder: Path | None = None,
    every_s: float = EVERY_S,
    known: int | None = None,
    meter: ReadEnergy | None = None,
    watch: LoadMonitor | None = None,
    preloaded: Preloaded | None = None,
    look_s: float = LOOK_S,
    evaluation_batch: int = EVALUATION_BATCH,
) -> None:
    """Train the recipe on the data sets under `root`, resuming from the newest checkpoint in `folder`.

    `processes`: size of the loader pool (0: one thread; None: by the number of cores); results do not depend on it.
    `every_s`: seconds between two checkpoints. `look_s`: seconds between two reads of the loss within an epoch.
    `evaluation_batch`: images of a batch in validation.
    `known`: the number of epochs whose rows the reader has; later ones in the checkpoint are emitted again.
    `meter`: measures the device's energy. `watch`: measures its load. `preloaded`: by this process, before the run.
    Raises Stopped once `stop()` is true (called between steps), after saving a checkpoint; and CannotTrain's kinds.
    """
    preloaded = preloaded or Preloaded()
    with _classified_failures(recipe), Progress(emit) as progress, Checkpoints(folder, every_s, emit) as checkpoints:
        saved = checkpoints.load_newest()
        if saved:
            refuse_another_recipe(recipe, saved.metadata, folder)
        checkpoints.write_note("recipe.json", recipe.model_dump_json(indent=2) + "\n")
        data = preloaded.data(recipe.dataset, root, log.info)
        if saved:
            refuse_other_images(data.fingerprint, saved.metadata)
        steps = _count_steps(recipe, len(data.train_images))
        for warning in check_recipe(recipe, len(data.train_images)):
            log.info("note: %s", warning.text)
        rates = learning_rates(recipe, len(data.train_images))
        if stop():
            raise Stopped
        if processes is None:
            processes = count_processes(len(os.sched_getaffinity(0)))
        normal = compute_normalisation(recipe.normalize, data.train_images)
        compiled = preloaded.cache.folder if preloaded.cache else None
        build = preloaded.build_engine or _build_engine
        engine = preloaded.engine(recipe, data, lambda: build(recipe, data, rates, normal, compiled))
        if stop():  # the framework's import alone takes seconds
            raise Stopped
        with open_batch_source(recipe, data, normal, engine.device(), processes) as source:
            source.load_data(engine)
            run = Experiment(
                recipe, data, rates, steps, engine, source, progress, emit, stop, meter, watch, look_s, evaluation_batch
            )
            compile_seconds = 0.0 if saved and saved.metadata.place.epoch == recipe.epochs else _compile(run)
            metadata = _start(run, saved, known, preloaded, normal)
            del saved  # as large as the model
            _train_epochs(run, checkpoints, metadata, compile_seconds)
    emit(Finished(epochs=recipe.epochs))


def _train_epochs(run: Experiment, checkpoints: Checkpoints, metadata: Metadata, compile_seconds: float) -> None:
    recipe, engine = run.recipe, run.engine

    def take_snapshot() -> Checkpoint:
        made = Checkpoint(replace(metadata, place=run.place), engine.state())
        # broken weights show in the loss one step later, and in averages later still
        refuse_broken_state(recipe, made.tensors)
        return made

    checkpoints.start_timer()
    if run.watch:
        run.watch.collect()  # discard the load before the first epoch
    while run.place.epoch < recipe.epochs:
        epoch = run.place.epoch + 1
        try:
            trained = train_steps(run)
            refuse_diverged(recipe, trained.loss, trained.penalty, f"the loss of epoch {epoch}")
            began = perf_counter()
            validated = evaluate(run)
            looked = perf_counter()
            again = engine.evaluate_with_tta() if recipe.tta != "none" else None
        except Stopped:
            checkpoints.save_now(take_snapshot)
            raise
        refuse_not_finite(recipe, validated.loss, f"the validation loss of epoch {epoch}")
        classes, confidences = engine.predictions() if epoch == recipe.epochs else (None, None)
        busy, memory = run.watch.collect() if run.watch else (None, None)
        row = EpochEnded(
            epoch=epoch,
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            val_loss=validated.loss,
            val_accuracy=validated.accuracy,
            learning_rate=float(run.rates[epoch * run.steps - 1]),
            penalty=trained.penalty if recipe.optimizer.weight_decay.kind == "l2" else None,
            seconds=run.place.seconds,
            input_seconds=run.place.input_seconds,
            val_seconds=looked - began,
            tta_accuracy=again.accuracy if again else None,
            tta_seconds=perf_counter() - looked if again else 0.0,
            compile_seconds=compile_seconds,
            energy_wh=run.place.energy_wh,
            busy=busy,
            memory_bytes=memory,
            predictions=None if classes is None else pack(classes),
            confidences=None if confidences is None else pack_confidences(confidences),
        )
        compile_seconds = 0.0
        engine.end_epoch()
        run.emit(row)
        run.place = _advance(run.place, row, (again or validated).accuracy)
        if run.place.best_epoch == epoch:
            checkpoints.hold_best(lambda: Checkpoint(replace(metadata, place=run.place), engine.weights()))
        if epoch == recipe.epochs:
            run.progress.phase("saving", epoch, run.steps)
        checkpoints.save_if_due(take_snapshot, is_last=epoch == recipe.epochs)


def _advance(place: RunPosition, row: EpochEnded, accuracy: float) -> RunPosition:
    is_best = not place.best_epoch or accuracy > place.best_accuracy
    return RunPosition(
        epoch=row.epoch,
        best_epoch=row.epoch if is_best else place.best_epoch,
        best_accuracy=accuracy if is_best else place.best_accuracy,
        history=[*place.history, row.model_dump(mode="json")],
    )


def _count_steps(recipe: Recipe, images: int) -> int:
    """Steps per epoch. Raises RecipeMistake if there are too few images for a single batch."""
    steps = steps_per_epoch(recipe, images)
    if not steps:
        needed = recipe.batch_size * (2 if recipe.mixup and recipe.mixup.pairing == "disjoint" else 1)
        problem = f"batch_size: an epoch has no step, since a batch takes {needed} of only {images} training images"
        raise RecipeMistake(problem, "Use a smaller batch size, or keep the last batch.")
    return steps


def _build_engine(
    recipe: Recipe,
    data: Data,
    rates: NDArray[np.float32],
    normal: tuple[PerChannel, PerChannel],
    compiled: Path | None,
) -> Engine:
    """Imports the framework only here, so that a missing data set is reported without waiting seconds for it."""
    from trainer.engine.backend import open_backend

    opened = open_backend(recipe.backend, compiled)
    from trainer.engine.engine import KerasEngine
    from trainer.models.whitening import compute_filters

    device = opened.device()
    precision = choose_precision(recipe, device, has_bfloat16=opened.has_bfloat16())
    refuse_too_large(build_layers(recipe.model, len(data.classes)), recipe, device_memory(device), device, precision)
    whitening = compute_filters(recipe.model, data.train_images, normal)
    return KerasEngine(opened, recipe, len(data.classes), rates, whitening, normal, precision)


def _compile(run: Experiment) -> float:
    """Compile the programs and start the loader pool; returns the seconds it took."""
    run.progress.phase("compiling")
    began = perf_counter()
    examples = run.source.example_batches(run.engine, list_selections(run.recipe, len(run.data.train_images), 1))
    run.engine.compile(examples, evaluation_batches(run))
    run.source.warm_up()
    return perf_counter() - began


def _start(
    run: Experiment,
    saved: Checkpoint | None,
    known: int | None,
    preloaded: Preloaded,
    normal: tuple[PerChannel, PerChannel],
) -> Metadata:
    """Restore the checkpoint and emit `started`. Returns the metadata of this attempt's checkpoints."""
    recipe, data, engine, startup_seconds = run.recipe, run.data, run.engine, preloaded.seconds
    if saved:
        engine.restore(saved.tensors)
        run.place = saved.metadata.place
    if preloaded.cache:
        preloaded.cache.record_digests()
    peak = peak_flops(engine.device(), engine.precision())
    surroundings = {
        **describe_environment(engine.device()),
        "dataset_fingerprint": data.fingerprint,
        "backend": recipe.backend,
        "augment_engine": run.source.engine,
        "augment_processes": run.source.processes,
        "precision": engine.precision(),
    }
    run.emit(
        Started(
            train_images=len(data.train_images),
            val_images=len(data.val_images),
            classes=list(data.classes),
            steps_per_epoch=run.steps,
            parameters=engine.parameters(),
            environment=surroundings,
            resumed_from_epoch=run.place.epoch,
            resumed_at_step=run.place.step,
            differs=list_differences(saved.metadata.environment, surroundings) if saved else [],
            training_flops=compute_totals(build_layers(recipe.model, len(data.classes))).training_flops,
            peak_flops=peak,
            peak_source="datasheet" if peak else None,
            is_warm=preloaded.is_warm,
            compile_cache=preloaded.cache.status if preloaded.cache else "off",
            startup_seconds=startup_seconds,
        )
    )
    for row in run.place.history[known:] if known is not None else []:
        run.emit(EpochEnded.model_validate(row))
    fed = [part.tolist() for part in normal]
    return Metadata(run.place, recipe.model_dump(mode="json"), data.fingerprint, surroundings, list(data.classes), fed)


@contextmanager
def _classified_failures(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except (Stopped, CannotTrain):
        raise
    except BrokenProcessPool:
        hint = "The machine may have run out of memory: look at its log, or use fewer processes."
        raise InputBroken("a process that prepares images was killed", hint) from None
    except Exception as error:
        if failure := faults.classify_error(type(error).__name__, str(error), recipe.batch_size):
            raise failure from error
        raise
