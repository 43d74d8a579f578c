"""Where an epoch's batches come from: prepared by the host's crew, or left to the device's own program.

What a batch shows depends on (recipe, epoch, selection) alone, whoever makes it. Must not know the net or events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment.crew import Crew
from trainer.augment.feed import Feed
from trainer.augment.normalisation import Batch, PerChannel
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection, labels_of
from trainer.augment.tables import Tables, tables
from trainer.data.datasets import Data
from trainer.engine.interface import Engine, HostBatch, Split, TrainingBatch
from trainer.recipe import Recipe

Normal = tuple[PerChannel, PerChannel]  # scale and shift


class EpochBatches(Protocol):
    """A context that hands out an epoch's batches in order."""

    @property
    def waited(self) -> float:
        """Seconds that the iterating thread stood still for a batch, so far."""

    def __enter__(self) -> EpochBatches: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[TrainingBatch]: ...


class BatchSource(Protocol):
    """A context; nothing of it outlives it."""

    pipeline: Pipeline
    engine: str  # imgaug or device
    processes: int  # that prepare pictures
    is_bit_exact: bool  # whether it makes the very bits that the pipeline makes

    def __enter__(self) -> BatchSource: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def load_data(self, engine: Engine) -> None:
        """Bring to the device what it needs of the data set."""

    def example_batches(self, engine: Engine, selected: Sequence[Selection]) -> list[TrainingBatch]:
        """Batches of these sizes, for programs to be made with."""

    def warm_up(self) -> None:
        """What takes seconds and is no epoch's fault."""

    def augment_once(self, stop: Callable[[], bool]) -> None:
        """Where pictures are changed ahead of the loop: do it. Raises Stopped once `stop()` is true."""

    def epoch_batches(self, engine: Engine, epoch: int, selected: Sequence[Selection]) -> EpochBatches:
        """Those of epoch `epoch` (from 1), in order."""

    def batch_with_images(self, engine: Engine, epoch: int, selection: Selection) -> tuple[TrainingBatch, Batch]:
        """One batch for a step, and the pictures that the step sees: float32 (b, side, side, 3)."""


def open_batch_source(recipe: Recipe, data: Data, normal: Normal, device: str, processes: int) -> BatchSource:
    """The one that the recipe names, or the faster one. `device`: as the engine calls it. `processes`: of a crew."""
    kind = recipe.augment_engine
    if kind == "auto":
        kind = "imgaug" if device == "cpu" else "device"
    return (
        HostBatchSource(recipe, data, normal, processes)
        if kind == "imgaug"
        else DeviceBatchSource(recipe, data, normal)
    )


class HostBatchSource:
    """A crew prepares pictures while the device is busy with the batch before."""

    engine = "imgaug"
    is_bit_exact = True

    def __init__(self, recipe: Recipe, data: Data, normal: Normal, processes: int) -> None:
        """`processes`: that the crew has; 0: a thread."""
        self._data, self._crew = data, Crew(recipe, data.train_images, processes, normal)
        self.pipeline, self.processes = self._crew.pipeline, processes

    def __enter__(self) -> HostBatchSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crew.__exit__(kind, error, trace)

    def load_data(self, engine: Engine) -> None:
        engine.load_splits(None, _validation_split(self._data))

    def example_batches(self, engine: Engine, selected: Sequence[Selection]) -> list[TrainingBatch]:
        shape, classes = self.pipeline.images.shape[1:], len(self._data.classes)
        return [
            HostBatch(np.zeros((size, *shape), np.float32), np.arange(size, dtype=np.int64) % classes)
            for size in sorted({len(one) for one in selected}, reverse=True)
        ]

    def warm_up(self) -> None:
        self._crew.warm_up()

    def augment_once(self, stop: Callable[[], bool]) -> None:
        self._crew.change_once(stop)

    def epoch_batches(self, engine: Engine, epoch: int, selected: Sequence[Selection]) -> EpochBatches:
        feed = Feed(lambda one: self._crew.prepare(epoch, one), selected, ahead=self._crew.ahead)
        return _HostBatches(feed, self._labels)

    def batch_with_images(self, engine: Engine, epoch: int, selection: Selection) -> tuple[TrainingBatch, Batch]:
        images = self._crew.prepare(epoch, selection).result()
        return HostBatch(images, self._labels(selection)), images

    def _labels(self, selection: Selection) -> NDArray[np.int64] | NDArray[np.float32]:
        return labels_of(selection, self._data.train_labels, len(self._data.classes))


class _HostBatches:
    def __init__(
        self,
        feed: Feed[Selection, Batch],
        labels: Callable[[Selection], NDArray[np.int64] | NDArray[np.float32]],
    ) -> None:
        self._feed, self._labels = feed, labels

    @property
    def waited(self) -> float:
        return self._feed.waited

    def __enter__(self) -> EpochBatches:
        self._feed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for selection, images in self._feed:
            yield HostBatch(images, self._labels(selection))


class DeviceBatchSource:
    """The pictures lie on the device; an epoch costs the host its draws, which are made while the one before runs."""

    engine = "device"
    processes = 0
    is_bit_exact = False  # the same operations, but the device rounds in its own way

    def __init__(self, recipe: Recipe, data: Data, normal: Normal) -> None:
        self._recipe, self._data = recipe.model_copy(update={"augment_engine": "device"}), data
        self.pipeline = Pipeline(self._recipe, data.train_images, normal)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draws")
        self._made: dict[int, Future[Tables]] = {}  # by epoch: the latest, and the next

    def __enter__(self) -> DeviceBatchSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def load_data(self, engine: Engine) -> None:
        engine.load_splits(Split(self._data.train_images, self._data.train_labels), _validation_split(self._data))

    def example_batches(self, engine: Engine, selected: Sequence[Selection]) -> list[TrainingBatch]:
        engine.begin_epoch(self._tables(1).result())
        return list({len(one): one for one in selected}.values())

    def warm_up(self) -> None:
        pass

    def augment_once(self, stop: Callable[[], bool]) -> None:
        pass  # the draws of epoch 1 are every epoch's: what they cost on a device is not worth keeping 600 MB for

    def epoch_batches(self, engine: Engine, epoch: int, selected: Sequence[Selection]) -> EpochBatches:
        began = perf_counter()
        drawn = self._tables(epoch).result()
        if epoch < self._recipe.epochs:
            self._tables(epoch + 1)
        waited = perf_counter() - began
        engine.begin_epoch(drawn)
        return _DeviceBatches(selected, waited)

    def batch_with_images(self, engine: Engine, epoch: int, selection: Selection) -> tuple[TrainingBatch, Batch]:
        engine.begin_epoch(self._tables(epoch).result())
        return selection, engine.augmented_images(selection)

    def _tables(self, epoch: int) -> Future[Tables]:
        if epoch not in self._made:
            kept = {old: made for old, made in self._made.items() if old == epoch - 1}
            self._made = {**kept, epoch: self._thread.submit(lambda: tables(self.pipeline.draws(epoch)))}
        return self._made[epoch]


class _DeviceBatches:
    def __init__(self, selected: Sequence[Selection], waited: float) -> None:
        self._selected, self.waited = selected, waited

    def __enter__(self) -> EpochBatches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __iter__(self) -> Iterator[TrainingBatch]:
        return iter(self._selected)


def _validation_split(data: Data) -> Split:
    return Split(data.val_images, data.val_labels)
