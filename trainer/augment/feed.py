"""Prepares the next batches in a thread while the device computes, and measures how long it was waited for.

Must not know what a batch is made of or who computes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import perf_counter
from types import TracebackType
from typing import Generic, TypeVar

Request = TypeVar("Request")
Prepared = TypeVar("Prepared")


class Feed(Generic[Request, Prepared]):
    """Iterates over `prepare(request)` in the order of `requests`; leaving its context ends the thread.

    An error in `prepare` is raised where the batch would have come.
    """

    def __init__(self, prepare: Callable[[Request], Prepared], requests: Sequence[Request], *, ahead: int = 2) -> None:
        """`ahead`: batches prepared at most before they are asked for; each costs its size in memory."""
        self.waited = 0.0  # seconds that the iterating thread stood still for a batch
        self._prepare = prepare
        self._requests = requests
        self._ready: Queue[Prepared | BaseException] = Queue(maxsize=ahead)
        self._over = Event()
        self._thread = Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> Feed[Request, Prepared]:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        while True:  # make room, so that a thread that waits to hand over can see that it is over
            try:
                self._ready.get_nowait()
            except Empty:
                break
        self._thread.join()

    def __iter__(self) -> Iterator[Prepared]:
        for _ in self._requests:
            began = perf_counter()
            item = self._ready.get()
            self.waited += perf_counter() - began
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for request in self._requests:
                if not self._hand_over(self._prepare(request)):
                    return
        except BaseException as error:  # raised again in the iterating thread
            self._hand_over(error)

    def _hand_over(self, item: Prepared | BaseException) -> bool:
        while not self._over.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False
