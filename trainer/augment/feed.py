"""Yields batches in order while the next ones are prepared, and measures the time spent waiting for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from time import perf_counter
from types import TracebackType
from typing import Generic, TypeVar

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
