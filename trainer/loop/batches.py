"""Where an epoch's batches come from: prepared by the loader pool on the host, or built by a program on the device.

A batch depends on (recipe, epoch, selection) alone, not on its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment.loader_pool import Feed, LoaderPool
from trainer.augment.normalisation import Batch, PerChannel
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection, batch_labels
from trainer.augment.tables import Columns, to_columns
from trainer.data.datasets import Data
from trainer.engine.interface import Engine, HostBatch, Split, TrainingBatch
from trainer.recipe import Recipe

Normal = tuple[PerChannel, PerChannel]  # scale and shift


class EpochBatches(Protocol):
    """A context that yields an epoch's batches in order."""

    @property
    def waited(self) -> float:
        """Seconds that the iterating thread has waited for batches so far."""

    def __enter__(self) -> EpochBatches: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[TrainingBatch]: ...


class BatchSource(Protocol):
    """A context that ends its threads and processes on exit."""

    pipeline: Pipeline
    engine: str  # imgaug or device
    processes: int  # in the loader pool
    is_bit_exact: bool  # whether its images are bit-identical to the pipeline's

    def __enter__(self) -> BatchSource: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def load_data(self, engine: Engine) -> None:
        """Copy the required parts of the data set to the device."""

    def example_batches(self, engine: Engine, selected: Sequence[Selection]) -> list[TrainingBatch]:
        """Batches of these sizes, to compile programs with."""

    def warm_up(self) -> None:
        """Do what takes seconds once and should not count as part of an epoch."""

    def augment_once(self, stop: Callable[[], bool]) -> None:
        """Augment all images ahead of the loop, where the source supports it. Raises Stopped once `stop()` is true."""

    def epoch_batches(self, engine: Engine, epoch: int, selected: Sequence[Selection]) -> EpochBatches:
        """The batches of epoch `epoch` (from 1), in order."""

    def batch_with_images(self, engine: Engine, epoch: int, selection: Selection) -> tuple[TrainingBatch, Batch]:
        """One batch, and the images that a step on it sees: float32 (b, side, side, 3)."""


def open_batch_source(recipe: Recipe, data: Data, normal: Normal, device: str, processes: int) -> BatchSource:
    """The source that the recipe names, or with `auto` the faster one for `device` (the engine's name for it)."""
    kind = recipe.augment_engine
    if kind == "auto":
        kind = "imgaug" if device == "cpu" else "device"
    return (
        HostBatchSource(recipe, data, normal, processes)
        if kind == "imgaug"
        else DeviceBatchSource(recipe, data, normal)
    )


class HostBatchSource:
    """A loader pool prepares batches while the device works on the previous one."""

    engine = "imgaug"
    is_bit_exact = True

    def __init__(self, recipe: Recipe, data: Data, normal: Normal, processes: int) -> None:
        """`processes`: size of the loader pool; 0: one thread."""
        self._data, self._pool = data, LoaderPool(recipe, data.train_images, processes, normal)
        self.pipeline, self.processes = self._pool.pipeline, processes

    def __enter__(self) -> HostBatchSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def load_data(self, engine: Engine) -> None:
        engine.load_splits(None, _validation_split(self._data))

    def example_batches(self, engine: Engine, selected: Sequence[Selection]) -> list[TrainingBatch]:
        shape, classes = self.pipeline.images.shape[1:], len(self._data.classes)
        return [
            HostBatch(np.zeros((size, *shape), np.float32), np.arange(size, dtype=np.int64) % classes)
            for size in sorted({len(one) for one in selected}, reverse=True)
        ]

    def warm_up(self) -> None:
        self._pool.warm_up()

    def augment_once(self, stop: Callable[[], bool]) -> None:
        self._pool.change_once(stop)

    def epoch_batches(self, engine: Engine, epoch: int, selected: Sequence[Selection]) -> EpochBatches:
        feed = Feed(lambda one: self._pool.prepare(epoch, one), selected, ahead=self._pool.ahead)
        return _HostBatches(feed, self._labels)

    def batch_with_images(self, engine: Engine, epoch: int, selection: Selection) -> tuple[TrainingBatch, Batch]:
        images = self._pool.prepare(epoch, selection).result()
        return HostBatch(images, self._labels(selection)), images

    def _labels(self, selection: Selection) -> NDArray[np.int64] | NDArray[np.float32]:
        return batch_labels(selection, self._data.train_labels, len(self._data.classes))


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
    """The images are on the device; the host only draws each epoch's parameters, while the previous epoch runs."""

    engine = "device"
    processes = 0
    is_bit_exact = False  # the same operations, rounded differently

    def __init__(self, recipe: Recipe, data: Data, normal: Normal) -> None:
        self._recipe, self._data = recipe.model_copy(update={"augment_engine": "device"}), data
        self.pipeline = Pipeline(self._recipe, data.train_images, normal)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draws")
        self._made: dict[int, Future[Columns]] = {}  # by epoch: the latest, and the next

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
        pass  # every epoch uses the draws of epoch 1: applying them again is cheaper than 600 MB of device memory

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

    def _tables(self, epoch: int) -> Future[Columns]:
        if epoch not in self._made:
            kept = {old: made for old, made in self._made.items() if old == epoch - 1}
            self._made = {**kept, epoch: self._thread.submit(lambda: to_columns(self.pipeline.epoch_params(epoch)))}
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
