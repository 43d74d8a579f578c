"""Prepares batches in processes that share the images, or in one thread on machines with few cores.

Batches depend on (recipe, epoch, selection) alone, not on what prepares them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.process import BaseProcess
from time import perf_counter
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np

from trainer.augment.imgaug_shim import import_imgaug
from trainer.augment.normalisation import Batch, Images, PerChannel
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection
from trainer.failures import Stopped
from trainer.machine.process import die_with
from trainer.recipe import Recipe

MIN_CORES = 4  # with fewer, the model itself keeps the cores busy, and processes slow it down
MAX_WORKERS = 16  # one GPU needs no more; each costs about 150 MB
IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the trainer receives them and ends the pool in order
CHUNK = 1024  # images prepared at once ahead of the loop


def count_processes(cores: int) -> int:
    """How many processes to use on this many cores; 0: a thread. One core is left for the trainer."""
    return 0 if cores < MIN_CORES else min(cores - 1, MAX_WORKERS)


class LoaderPool:
    """A recipe's pipeline and the processes or thread that run it. A context manager; nothing outlives the context."""

    def __init__(
        self,
        recipe: Recipe,
        images: Images,
        processes: int,
        normal: tuple[PerChannel, PerChannel] | None = None,
    ) -> None:
        """`images`: uint8 (n, side, side, 3). Processes start at once; they are ready some seconds later. `normal`:
        scale and shift, if already known.
        """
        self.pipeline = Pipeline(recipe, images, normal)
        self.processes = processes
        self.ahead = 2 + processes  # maximum number of pending batches
        self._table: Batch | None = None  # all images, if they are augmented once
        self._shared = -1
        self._members: list[BaseProcess] = []
        self._executor: Executor
        if processes:
            self._shared = _share_images(images)
            self._executor = ProcessPoolExecutor(
                processes,
                multiprocessing.get_context("spawn"),  # never fork: a framework's threads may hold locks
                initializer=_start_process,
                initargs=(os.getpid(), self._shared, images.shape, recipe, (self.pipeline.scale, self.pipeline.shift)),
            )
            others = multiprocessing.active_children()
            # A process that starts while they are blocked never receives them, not even during its start.
            heard = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED_SIGNALS)
            for _ in range(processes):
                # From this thread: the kernel ends a process when the *thread* that started it has ended.
                self._executor.submit(int)
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
            self._members = [process for process in multiprocessing.active_children() if process not in others]
        else:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="feed")

    def __enter__(self) -> LoaderPool:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self._executor.submit(int)
        except BrokenProcessPool:
            # The pool ends the others with SIGTERM, which they ignore, and would wait for them forever.
            for process in self._members:
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self.processes:
            os.close(self._shared)

    def warm_up(self) -> None:
        """Import imgaug (seconds) and sample the first epoch, so that this does not count as part of an epoch."""
        import_imgaug()
        nothing = Selection(np.arange(1))
        for future in [self.prepare(1, nothing) for _ in range(max(self.processes, 1))]:
            future.result()

    def change_once(self, stop: Callable[[], bool]) -> None:
        """Augment every image with the parameters of epoch 1, ahead of the loop; later epochs only look images up.

        Raises Stopped once `stop()` is true.
        """
        images = self.pipeline.images
        pieces = [Selection(np.arange(at, min(at + CHUNK, len(images)))) for at in range(0, len(images), CHUNK)]
        table = np.empty(images.shape, dtype=np.float32)
        with Feed(lambda piece: self.prepare(1, piece), pieces, ahead=self.ahead) as feed:
            for piece, batch in feed:
                if stop():
                    raise Stopped
                table[piece.pictures] = batch
        self._table = table

    def prepare(self, epoch: int, selection: Selection) -> Future[Batch]:
        """The batch, once it is ready: float32 (b, side, side, 3)."""
        if self._table is not None:
            done: Future[Batch] = Future()
            done.set_result(self._looked_up(self._table, selection))
            return done
        if self.processes:
            return self._executor.submit(_prepare_batch, epoch, selection)
        return self._executor.submit(self.pipeline.batch, epoch, selection)

    @staticmethod
    def _looked_up(table: Batch, selection: Selection) -> Batch:
        own = table[selection.pictures]
        if selection.partners is None or selection.shares is None:
            return own
        share = selection.shares.astype(np.float32)[:, None, None, None]
        mixed: Batch = share * own + (1 - share) * table[selection.partners]
        return mixed


_pipeline: Pipeline | None = None  # of a process of the pool


def _start_process(
    parent: int, shared: int, shape: tuple[int, ...], recipe: Recipe, normal: tuple[PerChannel, PerChannel]
) -> None:
    global _pipeline  # noqa: PLW0603  # a process of the pool has no other place
    die_with(parent)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    import_imgaug()
    import cv2

    cv2.setNumThreads(1)  # the other cores have processes of their own
    images = np.memmap(f"/proc/{parent}/fd/{shared}", dtype=np.uint8, mode="r", shape=shape)
    _pipeline = Pipeline(recipe, images, normal)


def _prepare_batch(epoch: int, selection: Selection) -> Batch:
    assert _pipeline is not None
    return _pipeline.batch(epoch, selection)


def _share_images(images: Images) -> int:
    """An anonymous file in memory with the images: not limited by /dev/shm, and freed when this process is killed."""
    descriptor = os.memfd_create("pitwall-pictures")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        images.tofile(file)
    return descriptor


Request = TypeVar("Request")


Prepared = TypeVar("Prepared")


class Feed(Generic[Request, Prepared]):
    """Iterates over (request, prepared batch) in the order of `requests`.

    An error in the preparation is raised in place of the batch. Leaving the context early cancels pending requests.
    """

    def __init__(
        self, prepare: Callable[[Request], Future[Prepared]], requests: Sequence[Request], *, ahead: int = 2
    ) -> None:
        """`ahead`: maximum number of pending batches; each costs its size in memory."""
        self.waited = 0.0  # seconds that the iterating thread waited for batches
        self._prepare = prepare
        self._requests = requests
        self._ahead = ahead
        self._under_way: deque[tuple[Request, Future[Prepared]]] = deque()

    def __enter__(self) -> Feed[Request, Prepared]:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for _, future in self._under_way:
            future.cancel()

    def __iter__(self) -> Iterator[tuple[Request, Prepared]]:
        remaining = iter(self._requests)
        for request in islice(remaining, self._ahead):
            self._under_way.append((request, self._prepare(request)))
        while self._under_way:
            request, future = self._under_way.popleft()
            began = perf_counter()
            prepared = future.result()
            self.waited += perf_counter() - began
            for following in islice(remaining, 1):
                self._under_way.append((following, self._prepare(following)))
            yield request, prepared
